// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity ^0.8.24;

/// Storage in every form that Solidity has, written, changed and cleared by the dozen: what blocks that are all storage do.
contract Ledger {
    struct Entry {
        uint64 count;
        uint64 changed;
        uint128 amount;
        bytes32 mark;
    }

    mapping(uint256 => uint256) public slots;
    mapping(address => mapping(uint256 => Entry)) public entries;
    uint256[] public list;
    mapping(address => bytes) public notes;
    uint256 public total;

    event Changed(address indexed who, uint256 first, uint256 count);

    /// `count` slots from `first` get values that follow from `seed`.
    function fill(uint256 first, uint256 count, uint256 seed) external {
        for (uint256 at = first; at < first + count; at++) {
            slots[at] = uint256(keccak256(abi.encode(seed, at)));
        }
        emit Changed(msg.sender, first, count);
    }

    /// They count up: each is read and written.
    function bump(uint256 first, uint256 count) external {
        unchecked {
            for (uint256 at = first; at < first + count; at++) {
                slots[at] += 1;
            }
            total += count;
        }
    }

    /// They are empty again, which is refunded.
    function clear(uint256 first, uint256 count) external {
        for (uint256 at = first; at < first + count; at++) {
            delete slots[at];
        }
        emit Changed(msg.sender, first, count);
    }

    /// What was there, written back in the end: a write that changes nothing is refunded in part.
    function turn(uint256 first, uint256 count) external {
        for (uint256 at = first; at < first + count; at++) {
            uint256 before = slots[at];
            slots[at] = ~before;
            slots[at] = before;
        }
    }

    function sum(uint256 first, uint256 count) external view returns (uint256 found) {
        unchecked {
            for (uint256 at = first; at < first + count; at++) {
                found += slots[at];
            }
        }
    }

    function enter(uint256 number, uint128 amount) external {
        Entry storage entry = entries[msg.sender][number];
        entry.count += 1;
        entry.changed = uint64(block.timestamp);
        entry.amount = amount;
        entry.mark = keccak256(abi.encodePacked(entry.mark, amount, blockhash(block.number - 1)));
    }

    function push(uint256 count) external {
        for (uint256 at = 0; at < count; at++) {
            list.push(list.length ^ total);
        }
    }

    function pop(uint256 count) external {
        for (uint256 at = 0; at < count; at++) {
            list.pop();
        }
    }

    /// More than 31 bytes take slots of their own.
    function note(bytes calldata text) external {
        notes[msg.sender] = text;
    }
}
