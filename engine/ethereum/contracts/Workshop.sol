// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity ^0.8.24;

/// What the workshop makes: it holds money, answers, refuses, and goes.
contract Piece {
    uint256 public value;
    address public immutable maker;

    error Refused(uint256 value);

    constructor(uint256 value_) payable {
        if (value_ == 13) revert Refused(value_);
        value = value_;
        maker = msg.sender;
    }

    receive() external payable {}

    function set(uint256 value_) external returns (uint256 before) {
        if (value_ == 13) revert Refused(value_);
        before = value;
        value = value_;
    }

    function go(address payable heir) external {
        selfdestruct(heir);
    }
}

/// Calls in calls, creations, destructions, reverts, logs and transient storage: each function is one of them, so that a
/// block of such calls meets every rule of frames.
contract Workshop {
    uint256 public count;
    mapping(uint256 => address) public pieces;

    event Made(address indexed piece, uint256 indexed value, bool again);
    event Failed(bytes reason);
    event Depth(uint256 indexed depth, uint256 gasLeft) anonymous;

    error Deep(uint256 depth);
    error Locked();

    receive() external payable {}

    /// Calls itself so many times; the innermost call reverts if asked, and the one around it goes on.
    function descend(uint256 depth, bool fail) external returns (uint256) {
        if (depth == 0) {
            if (fail) revert Deep(count);
            return count;
        }
        count += 1;
        emit Depth(depth, gasleft());
        try this.descend(depth - 1, fail) returns (uint256 found) {
            return found + 1;
        } catch (bytes memory reason) {
            emit Failed(reason);
            return 0;
        }
    }

    /// CREATE, with money; 13 is refused by the piece.
    function make(uint256 value) external payable returns (address made) {
        try new Piece{value: msg.value}(value) returns (Piece piece) {
            made = address(piece);
            pieces[count] = made;
            count += 1;
            emit Made(made, value, false);
        } catch (bytes memory reason) {
            emit Failed(reason);
        }
    }

    /// CREATE2; the same salt a second time fails, unless the piece is gone.
    function make2(uint256 value, bytes32 salt) public payable returns (address made) {
        try new Piece{value: msg.value, salt: salt}(value) returns (Piece piece) {
            made = address(piece);
            pieces[count] = made;
            count += 1;
            emit Made(made, value, false);
        } catch (bytes memory reason) {
            emit Failed(reason);
        }
    }

    /// A piece that is made and goes within one transaction, which since Cancun alone deletes it.
    function flash(uint256 value, bytes32 salt, address payable heir) external payable {
        Piece piece = Piece(payable(make2(value, salt)));
        piece.set(value + 1);
        piece.go(heir);
        emit Made(address(piece), value, true);
    }

    /// A piece of an earlier transaction goes: its money does, and before Cancun its code.
    function end(uint256 number, address payable heir) external {
        Piece(payable(pieces[number])).go(heir);
    }

    /// Calls a piece; what it refuses is caught.
    function set(uint256 number, uint256 value) external returns (uint256 before) {
        try Piece(payable(pieces[number])).set(value) returns (uint256 found) {
            before = found;
        } catch (bytes memory reason) {
            emit Failed(reason);
        }
    }

    /// Locked by transient storage, which a call to itself runs into, and which is empty in the next transaction.
    function guarded(uint256 rounds, bool again) external returns (uint256 found) {
        uint256 locked;
        assembly {
            locked := tload(0)
        }
        if (locked != 0) revert Locked();
        assembly {
            tstore(0, 1)
            for { let at := 1 } lt(at, rounds) { at := add(at, 1) } {
                tstore(at, add(tload(sub(at, 1)), at))
            }
            found := tload(sub(rounds, 1))
        }
        if (again) {
            (bool done, bytes memory reason) = address(this).call(abi.encodeCall(this.guarded, (rounds, false)));
            if (!done) emit Failed(reason);
        }
        assembly {
            tstore(0, 0)
        }
    }

    /// Logs of none to four topics over so many bytes.
    function logs(uint256 size) external {
        assembly {
            let free := mload(0x40)
            for { let at := 0 } lt(at, size) { at := add(at, 32) } {
                mstore(add(free, at), at)
            }
            log0(free, size)
            log1(free, size, 1)
            log2(free, size, 1, 2)
            log3(free, size, 1, 2, 3)
            log4(free, size, 1, 2, 3, 4)
        }
    }

    /// The code of a piece on the storage of this contract: slot 0 is `count` here.
    function borrow(uint256 number, uint256 value) external returns (bool done) {
        (done,) = pieces[number].delegatecall(abi.encodeCall(Piece.set, (value)));
    }

    /// A static call that would write, and fails with all its gas.
    function peek(uint256 number) external returns (bool done) {
        (done,) = pieces[number].staticcall{gas: 50_000}(abi.encodeCall(Piece.set, (7)));
        count += 1;
    }

    /// Precompiled contracts, the oldest four and modular powers: digests of what they answer.
    function precompiled(bytes calldata data) external returns (bytes32 found) {
        bytes32 digest = sha256(data);
        bytes20 short = ripemd160(data);
        address nobody = ecrecover(digest, 27, digest, keccak256(data));
        (, bytes memory same) = address(4).staticcall(data);
        (bool done, bytes memory power) =
            address(5).staticcall(abi.encode(32, 32, 32, digest, uint256(65537), keccak256(same)));
        found = keccak256(abi.encode(digest, short, nobody, same, done, power));
        pieces[uint256(found)] = nobody;
    }

    /// What accounts and the block are: balances, codes and their hashes, and the numbers of the block.
    function look(address[] calldata who) external view returns (bytes32 found) {
        for (uint256 at = 0; at < who.length; at++) {
            found = keccak256(
                abi.encode(found, who[at].balance, who[at].codehash, who[at].code.length, blockhash(block.number - at))
            );
        }
        found = keccak256(
            abi.encode(found, block.coinbase, block.prevrandao, block.basefee, block.blobbasefee, block.chainid)
        );
    }

    /// Work without state: so many rounds of arithmetic of every kind.
    function grind(uint256 rounds, uint256 seed) external pure returns (uint256 found) {
        found = seed;
        unchecked {
            for (uint256 at = 1; at <= rounds; at++) {
                found = mulmod(found ^ at, addmod(found, seed, ~at), type(uint256).max - at);
                found += (found >> (at & 127)) / at + (at ** 3) % (seed | 1);
                found ^= uint256(int256(found) / int256(at + 1)) << 7;
            }
        }
    }
}
