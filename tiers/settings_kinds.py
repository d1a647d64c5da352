# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of values that settings have: what each accepts, from a text or from a table, and how an error says it."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

BYTE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MOST_PROCESSES = 1024
EACH = ("numa", "gpu")
"""What there may be a process for each of: NUMA nodes, GPUs."""

SettingValue = int | float | str | tuple[str, ...]


class Mismatch(Exception):
    """A value is not of a kind; the message says what was found."""


class OfText(ABC):
    """A kind whose values are what a variable's text says."""

    def of_text(self, text: str) -> SettingValue:
        """As `of_value`, of a variable's text without space around it.

        Raises:
            Mismatch: anything else.
        """
        return self.of_value(text.strip())

    @abstractmethod
    def of_value(self, value: object) -> SettingValue:
        """What a table has, if it is of the kind.

        Raises:
            Mismatch: anything else.
        """


@dataclass(frozen=True)
class Count:
    """A whole number of at least `minimum`."""

    minimum: int

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a whole number, {self.minimum} or more"

    def of_text(self, text: str) -> SettingValue:
        """An int from the text of a variable: at most 18 decimal digits, with or without a sign.

        Raises:
            Mismatch: anything else, or a number below `minimum`.
        """
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
            raise Mismatch(repr(text))
        return self.of_value(int(text))

    def of_value(self, value: object) -> SettingValue:
        """`value`, from a table or a flag, if it is an int and no bool.

        Raises:
            Mismatch: anything else, or a number below `minimum`.
        """
        if not isinstance(value, int) or isinstance(value, bool) or value < self.minimum:
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class ByteCount:
    """A number of bytes of at least `minimum`: a whole number, or text with a binary unit such as '2 GiB'."""

    minimum: int

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"bytes, {self.minimum} or more, such as 268435456 or '256 MiB' ({', '.join(BYTE_UNITS)})"

    def of_text(self, text: str) -> SettingValue:
        """Bytes from text: at most 18 decimal digits, with or without one of `BYTE_UNITS` behind them.

        Raises:
            Mismatch: anything else, or fewer bytes than `minimum`.
        """
        match = re.fullmatch(r"([0-9]{1,18})\s*([A-Za-z]*)", text.strip())
        unit = BYTE_UNITS.get(match[2] or "B") if match else None
        if match is None or unit is None or int(match[1]) * unit < self.minimum:
            raise Mismatch(repr(text))
        return int(match[1]) * unit

    def of_value(self, value: object) -> SettingValue:
        """Bytes from an int that is no bool, or from text as `of_text` takes it.

        Raises:
            Mismatch: anything else, or fewer bytes than `minimum`.
        """
        if isinstance(value, str):
            return self.of_text(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < self.minimum:
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Share:
    """A number from 0 to 1."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "a number from 0 to 1"

    def of_text(self, text: str) -> SettingValue:
        """A float from the text of a variable, as `float` reads it.

        Raises:
            Mismatch: anything else, or a number outside 0 … 1.
        """
        try:
            return self.of_value(float(text))
        except ValueError:
            raise Mismatch(repr(text)) from None

    def of_value(self, value: object) -> SettingValue:
        """`value` as a float, if it is an int or a float and no bool.

        Raises:
            Mismatch: anything else, or a number outside 0 … 1.
        """
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            raise Mismatch(repr(value))
        return float(value)


@dataclass(frozen=True)
class Quantity:
    """A number of at least `minimum`, in a unit that the name says."""

    minimum: float

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a number, {self.minimum:g} or more"

    def of_text(self, text: str) -> SettingValue:
        """A float from the text of a variable, as `float` reads it.

        Raises:
            Mismatch: anything else, a number below `minimum`, infinity or NaN.
        """
        try:
            return self.of_value(float(text))
        except ValueError:
            raise Mismatch(repr(text)) from None

    def of_value(self, value: object) -> SettingValue:
        """`value` as a float, if it is an int or a float and no bool.

        Raises:
            Mismatch: anything else, a number below `minimum`, infinity or NaN.
        """
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or not self.minimum <= value < math.inf
        ):
            raise Mismatch(repr(value))
        return float(value)


@dataclass(frozen=True)
class Address(OfText):
    """Where to listen, HOST:PORT; port 0 is any free one. 'off' is nowhere."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051, or 'off'"

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is 'off' or HOST:PORT with a port up to 65535; the host is not looked up.

        Raises:
            Mismatch: anything else.
        """
        match = (
            re.fullmatch(r"([^\s:/]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})", value)
            if isinstance(value, str)
            else None
        )
        if value != "off" and (match is None or int(match[2]) > 65535):
            raise Mismatch(repr(value))
        assert isinstance(value, str)
        return value


@dataclass(frozen=True)
class Addresses:
    """Where to call, HOST:PORT, several separated by commas. 'off' is nowhere."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "HOST:PORT, or several with commas between them, none of them twice, or 'off'"

    def of_text(self, text: str) -> SettingValue:
        """As `of_value`, of a variable's text without space around addresses."""
        return self.of_value(",".join(word.strip() for word in text.split(",")))

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is 'off' or addresses, as `Address` has them, with commas between them.

        Raises:
            Mismatch: anything else.
        """
        words = value.split(",") if isinstance(value, str) else []
        if value != "off" and (not words or "off" in words or len(set(words)) != len(words)):
            raise Mismatch(repr(value))
        for word in words:
            Address().of_value(word)
        assert isinstance(value, str)
        return value


@dataclass(frozen=True)
class Processes(OfText):
    """How many processes: a whole number of at least 1, or one for each of what a word of `EACH` names."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a whole number from 1 to {MOST_PROCESSES}, or {' or '.join(map(repr, EACH))}: one for each"

    def of_value(self, value: object) -> SettingValue:
        """An int that is such a number and no bool, or its decimal digits; or a word of `EACH`.

        Raises:
            Mismatch: anything else.
        """
        if value in EACH:
            return str(value)
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_PROCESSES:
            raise Mismatch(repr(value))
        return number


@dataclass(frozen=True)
class FileName:
    """The name of a file; '' is none."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "the name of a file, or '' for none"

    def of_text(self, text: str) -> SettingValue:
        """The text of a variable, whatever it is; nothing looks for the file."""
        return text

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is a str; nothing looks for the file.

        Raises:
            Mismatch: anything else.
        """
        if not isinstance(value, str):
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Endpoint(OfText):
    """Where to send to, http://HOST:PORT or https://HOST:PORT; '' is nowhere."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "http://HOST:PORT or https://HOST:PORT, or '' for nowhere"

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is '' or http:// or https:// with HOST:PORT and nothing behind.

        Raises:
            Mismatch: anything else.
        """
        if not isinstance(value, str) or not re.fullmatch(r"(https?://[^\s/:@]+:[0-9]{1,5})?", value):
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Choice(OfText):
    """One of a few words."""

    choices: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"one of {', '.join(self.choices)}"

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is one of `choices`, letter by letter.

        Raises:
            Mismatch: anything else.
        """
        if not isinstance(value, str) or value not in self.choices:
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Choices:
    """A list of words, none of them twice; in text, separated by commas."""

    choices: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a list of {', '.join(self.choices)}, none of them twice"

    def of_text(self, text: str) -> SettingValue:
        """A tuple of the words of a variable's text, in its order; empty words between commas do not count.

        Raises:
            Mismatch: a word that is none of `choices`, or one that comes twice.
        """
        return self.of_value([word.strip() for word in text.split(",") if word.strip()])

    def of_value(self, value: object) -> SettingValue:
        """The words of a list as a tuple, in their order; it may be empty.

        Raises:
            Mismatch: no list of str, a word that is none of `choices`, or one that comes twice.
        """
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise Mismatch(repr(value))
        if len(set(value)) != len(value) or not set(value).issubset(self.choices):
            raise Mismatch(repr(value))
        return tuple(value)


Kind = (
    Count
    | ByteCount
    | Share
    | Quantity
    | Address
    | Addresses
    | Processes
    | FileName
    | Endpoint
    | Choice
    | Choices
)
