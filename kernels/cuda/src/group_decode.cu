// SPDX-License-Identifier: GPL-3.0-or-later
// Points from bytes or from coordinates that were read from bytes. `constants.cuh` defines Base, Curve and Point of a GroupSpec, and
// `Decoding`: the bits MALFORMED, INFINITE and LARGER of an item's flags, and the checks FIELD, CURVE and SUBGROUP, each of which
// includes those before; below them nothing but flags is looked at.
//
// group_read(const u8 *data, u32 bytes, u32 little, u32 imaginary_first, u32 padding, u32 kind, u32 compressed, u32 *rows, i8 *flags,
//            u32 count)
//     Rows and flags of items of `bytes` bytes. An encoding's numbers are those of `supervm.crypto.point_encodings`: how the bytes
//     of a part lie, which part of a coordinate is first, zero bytes before each part, and where the flag bits are.
// group_lift(const u32 *abscissas, const i8 *flags, u32 compressed, u32 *lifted, u32 count)
//     Where `compressed` is set, rows of x and y from x alone, canonical or not. Where x is of no point, the equation does not hold.
// group_flags(const u32 *rows, i8 *flags, u32 count)
//     INFINITE where a row is all zero.
// group_decode(const u32 *rows, const u32 *lifted, const i8 *flags, u32 compressed, u32 check, u32 *points, i8 *verdicts, u32 count)
//     The rows, or what was lifted, zeros where the verdict is not 1: 1 valid, 0 not in the subgroup, −1 malformed.
#include "constants.cuh"
#include "launch.cuh"
#include "group_rows.cuh"
#include "square_root.cuh"
#include "subgroup.cuh"

constexpr u32 ZCASH = 1, ARKWORKS = 2;  // kinds of flags: in the top bits of the first byte, or of the last

// The flags of an item from the byte that holds its flag bits; `zero`: all that is left is zero.
DEVICE u32 flags_of(u32 kind, u32 top, bool zero, bool compressed)
{
    const bool infinite = top & 0x40, larger = kind == ZCASH ? top & 0x20 : top & 0x80;
    bool refused;
    if (kind == ARKWORKS) {
        refused = (infinite && larger) || (compressed ? infinite && !zero : zero && !infinite);
    } else {
        refused = ((top & 0x80) != 0) != compressed || (infinite && !zero);
        refused = refused || (compressed ? larger && infinite : larger || (zero && !infinite));
    }
    if (refused) return Decoding::MALFORMED;
    // Beside a y that is written, arkworks' flag says nothing.
    return (infinite ? Decoding::INFINITE : 0) | (larger && (kind == ZCASH || compressed) ? Decoding::LARGER : 0);
}

KERNEL(group_read, 128, 1)
(const u8 *data, u32 bytes, u32 little, u32 imaginary_first, u32 padding, u32 kind, u32 compressed, u32 *rows, i8 *flags,
 u32 count)
{
    constexpr u32 WORDS = Prime::WORDS, DEGREE = Base::WORDS / WORDS;
    const u32 size = padding + 4 * WORDS, parts = bytes / size;
    for_items(item, count)
    {
        const u8 *of_item = data + (u64)item * bytes;
        u32 any = 0, padded = 0;
        ROLLED for (u32 part = 0; part < parts; ++part) {
            const u8 *at = of_item + (part ^ (imaginary_first && DEGREE == 2)) * size;
            ROLLED for (u32 i = 0; i < padding; ++i) padded |= *at++;
            u32 words[WORDS];
            if (little)
                load_little(words, at);
            else
                load_big(words, at);
            // Flag bits stand above the first part that was written, or above the last one.
            if (kind == ZCASH && part == DEGREE - 1) words[WORDS - 1] &= 0x1fffffff;
            if (kind == ARKWORKS && part == parts - 1) words[WORDS - 1] &= 0x3fffffff;
            UNROLL for (u32 i = 0; i < WORDS; ++i) any |= rows[((u64)item * parts + part) * WORDS + i] = words[i];
        }
        if (kind)
            flags[item] = flags_of(kind, of_item[kind == ZCASH ? 0 : bytes - 1], any == 0, compressed);
        else
            flags[item] = padded ? Decoding::MALFORMED : any ? 0 : Decoding::INFINITE;
    }
}

// Whether canonical words are those of the larger of an element and its opposite: the last part that is not zero decides.
DEVICE bool is_larger(const u32 *words)
{
    u32 half[Prime::WORDS], part[Prime::WORDS];
    Curve::half(half);
    bool larger = false;
    ROLLED for (int at = 0; at < Base::WORDS; at += Prime::WORDS) {
        UNROLL for (int i = 0; i < Prime::WORDS; ++i) part[i] = words[at + i];
        if (!zero_words(part)) larger = less_words(half, part);
    }
    return larger;
}

KERNEL(group_lift, 128, POINT_BLOCKS)(const u32 *abscissas, const i8 *flags, u32 compressed, u32 *lifted, u32 count)
{
    if (!compressed) return;
    for_items(item, count)
    {
        const u32 *words = abscissas + (u64)item * Base::WORDS;
        u32 *row = lifted + (u64)item * Point::ROW;
        Base x;
        read_element(x, words);
        const Base y = square_root<Curve>(x.squared() * x + Curve::b());
        for (int i = 0; i < Base::WORDS; ++i) row[i] = words[i];
        store_canonical(row + Base::WORDS, y);
        const bool larger = flags[item] & Decoding::LARGER;
        if (is_larger(row + Base::WORDS) != larger) store_canonical(row + Base::WORDS, -y);
    }
}

KERNEL(group_flags, 128, 1)(const u32 *rows, i8 *flags, u32 count)
{
    for_items(item, count) flags[item] = Point::is_neutral(rows + (u64)item * Point::ROW) ? Decoding::INFINITE : 0;
}

KERNEL(group_decode, 128, POINT_BLOCKS)
(const u32 *rows, const u32 *lifted, const i8 *flags, u32 compressed, u32 check, u32 *points, i8 *verdicts, u32 count)
{
    if (compressed && check < Decoding::CURVE) check = Decoding::CURVE;
    for_items(item, count)
    {
        const u32 *words = (compressed ? lifted : rows) + (u64)item * Point::ROW;
        const bool infinite = flags[item] & Decoding::INFINITE;
        Point P;
        const u32 found = read_coordinates(P, words);
        bool good = !(flags[item] & Decoding::MALFORMED);
        if (check >= Decoding::FIELD) good = good && found >= CANONICAL;
        if (check >= Decoding::CURVE) good = good && (infinite || found == ON_CURVE);
        bool valid = good;
        if (check >= Decoding::SUBGROUP && good && !infinite) valid = in_subgroup(P);
        const bool kept = valid && !infinite;
        u32 *row = points + (u64)item * Point::ROW;
        for (int i = 0; i < Point::ROW; ++i) row[i] = kept ? words[i] : 0;
        verdicts[item] = valid ? 1 : good ? 0 : -1;
    }
}
