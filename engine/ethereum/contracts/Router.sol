// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity ^0.8.24;

import "./Pair.sol";

/// Makes pairs, each at the CREATE2 address of its two tokens, and spends callers' tokens in them.
contract Router {
    mapping(address => mapping(address => address)) public pairOf;
    address[] public pairs;

    event Paired(address indexed token0, address indexed token1, address pair);

    error NoPair(address first, address second);
    error PairExists(address pair);
    error TooLittle(uint256 found, uint256 wanted);
    error Late(uint256 deadline);

    modifier until(uint256 deadline) {
        if (block.timestamp > deadline) revert Late(deadline);
        _;
    }

    function make(address first, address second) external returns (Pair made) {
        (address token0, address token1) = _sorted(first, second);
        if (pairOf[token0][token1] != address(0)) revert PairExists(pairOf[token0][token1]);
        made = new Pair{salt: keccak256(abi.encode(token0, token1))}();
        made.pair(token0, token1);
        pairOf[token0][token1] = address(made);
        pairOf[token1][token0] = address(made);
        pairs.push(address(made));
        emit Paired(token0, token1, address(made));
    }

    function add(address first, address second, uint256 in0, uint256 in1, uint256 deadline)
        external
        until(deadline)
        returns (uint256)
    {
        Pair pool = _pool(first, second);
        Token(first).transferFrom(msg.sender, address(pool), in0);
        Token(second).transferFrom(msg.sender, address(pool), in1);
        return pool.add(msg.sender);
    }

    function take(address first, address second, uint256 shares, uint256 deadline)
        external
        until(deadline)
        returns (uint256, uint256)
    {
        Pair pool = _pool(first, second);
        pool.transferFrom(msg.sender, address(pool), shares);
        return pool.take(msg.sender);
    }

    /// Gives `amount` of the first token of `path`, and gets at least `least` of its last one.
    function swap(uint256 amount, uint256 least, address[] calldata path, address to, uint256 deadline)
        external
        until(deadline)
        returns (uint256)
    {
        uint256 last = path.length - 1;
        Token(path[0]).transferFrom(msg.sender, address(_pool(path[0], path[1])), amount);
        for (uint256 at = 0; at < last; at++) {
            Pair pool = _pool(path[at], path[at + 1]);
            address receiver = at + 1 < last ? address(_pool(path[at + 1], path[at + 2])) : to;
            amount = _swap(pool, path[at], path[at + 1], amount, receiver);
        }
        if (amount < least) revert TooLittle(amount, least);
        return amount;
    }

    function _swap(Pair pool, address from, address into, uint256 amount, address to)
        private
        returns (uint256 out)
    {
        (uint256 reserve0, uint256 reserve1,) = pool.reserves();
        bool straight = from < into;
        (uint256 given, uint256 wanted) = straight ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 counted = amount * 997;
        out = (counted * wanted) / (given * 1000 + counted);
        pool.swap(straight ? 0 : out, straight ? out : 0, to);
    }

    function _pool(address first, address second) private view returns (Pair) {
        address found = pairOf[first][second];
        if (found == address(0)) revert NoPair(first, second);
        return Pair(found);
    }

    function _sorted(address first, address second) private pure returns (address, address) {
        return first < second ? (first, second) : (second, first);
    }
}
