// SPDX-License-Identifier: GPL-3.0-or-later
pragma solidity ^0.8.24;

import "./Token.sol";

/// A pool of two tokens whose reserves keep their product: what Uniswap's second version is, in code of our own. Shares of
/// the pool are a token too. Whoever swaps sends first and calls then, usually through `Router`.
contract Pair is Token {
    address public token0;
    address public token1;
    uint112 private reserve0;
    uint112 private reserve1;
    uint32 private updated;
    uint256 public price0Cumulative;
    uint256 public price1Cumulative;
    uint256 private entered;

    uint256 private constant LEAST_SHARES = 1000;
    uint256 private constant PER_MILLE = 1000;
    uint256 private constant FEE = 3;

    event Mint(address indexed sender, uint256 amount0, uint256 amount1);
    event Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to);
    event Swap(
        address indexed sender,
        uint256 in0,
        uint256 in1,
        uint256 out0,
        uint256 out1,
        address indexed to
    );
    event Sync(uint112 reserve0, uint112 reserve1);

    error Entered();
    error AlreadyPaired();
    error NothingAdded();
    error NothingTaken();
    error InsufficientReserve(uint256 reserve, uint256 wanted);
    error ProductFell(uint256 before, uint256 found);
    error TooMuch(uint256 balance);
    error TokenFailed(address token);

    modifier once() {
        if (entered == 1) revert Entered();
        entered = 1;
        _;
        entered = 2; // not 0, which would cost more to set again
    }

    constructor() Token("Pool Share", "POOL") {
        entered = 2;
    }

    /// The factory's first call.
    function pair(address first, address second) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        if (token0 != address(0)) revert AlreadyPaired();
        (token0, token1) = (first, second);
    }

    function reserves() external view returns (uint112, uint112, uint32) {
        return (reserve0, reserve1, updated);
    }

    /// Shares for what was sent since the last call.
    function add(address to) external once returns (uint256 shares) {
        (uint256 held0, uint256 held1) = _held();
        (uint256 before0, uint256 before1) = (reserve0, reserve1);
        (uint256 in0, uint256 in1) = (held0 - before0, held1 - before1);
        uint256 supply = totalSupply;
        if (supply == 0) {
            shares = _root(in0 * in1) - LEAST_SHARES;
            _mint(address(0), LEAST_SHARES); // nobody's: the last share cannot be made dear
        } else {
            uint256 by0 = (in0 * supply) / before0;
            uint256 by1 = (in1 * supply) / before1;
            shares = by0 < by1 ? by0 : by1;
        }
        if (shares == 0) revert NothingAdded();
        _mint(to, shares);
        _update(held0, held1);
        emit Mint(msg.sender, in0, in1);
    }

    /// The part of the reserves for shares that were sent here.
    function take(address to) external once returns (uint256 out0, uint256 out1) {
        (uint256 held0, uint256 held1) = _held();
        uint256 shares = balanceOf[address(this)];
        uint256 supply = totalSupply;
        out0 = (shares * held0) / supply;
        out1 = (shares * held1) / supply;
        if (out0 == 0 || out1 == 0) revert NothingTaken();
        _burn(address(this), shares);
        _send(token0, to, out0);
        _send(token1, to, out1);
        (held0, held1) = _held();
        _update(held0, held1);
        emit Burn(msg.sender, out0, out1, to);
    }

    /// Amounts out for what was sent since the last call, of which three thousandths are the pool's.
    function swap(uint256 out0, uint256 out1, address to) external once {
        if (out0 == 0 && out1 == 0) revert NothingTaken();
        (uint256 before0, uint256 before1) = (reserve0, reserve1);
        if (out0 >= before0) revert InsufficientReserve(before0, out0);
        if (out1 >= before1) revert InsufficientReserve(before1, out1);
        if (out0 > 0) _send(token0, to, out0);
        if (out1 > 0) _send(token1, to, out1);
        (uint256 held0, uint256 held1) = _held();
        uint256 in0 = held0 > before0 - out0 ? held0 - (before0 - out0) : 0;
        uint256 in1 = held1 > before1 - out1 ? held1 - (before1 - out1) : 0;
        if (in0 == 0 && in1 == 0) revert NothingAdded();
        uint256 product = before0 * before1 * PER_MILLE * PER_MILLE;
        uint256 found = (held0 * PER_MILLE - in0 * FEE) * (held1 * PER_MILLE - in1 * FEE);
        if (found < product) revert ProductFell(product, found);
        _update(held0, held1);
        emit Swap(msg.sender, in0, in1, out0, out1, to);
    }

    function _held() private view returns (uint256, uint256) {
        return (Token(token0).balanceOf(address(this)), Token(token1).balanceOf(address(this)));
    }

    function _update(uint256 held0, uint256 held1) private {
        if (held0 > type(uint112).max) revert TooMuch(held0);
        if (held1 > type(uint112).max) revert TooMuch(held1);
        uint32 time = uint32(block.timestamp);
        unchecked {
            uint32 passed = time - updated; // sums and times run over, and differences of them stay right
            if (passed > 0 && reserve0 != 0 && reserve1 != 0) {
                price0Cumulative += ((uint256(reserve1) << 112) / reserve0) * passed;
                price1Cumulative += ((uint256(reserve0) << 112) / reserve1) * passed;
            }
        }
        reserve0 = uint112(held0);
        reserve1 = uint112(held1);
        updated = time;
        emit Sync(reserve0, reserve1);
    }

    function _send(address token, address to, uint256 value) private {
        (bool done, bytes memory answer) = token.call(abi.encodeCall(Token.transfer, (to, value)));
        if (!done || (answer.length > 0 && !abi.decode(answer, (bool)))) revert TokenFailed(token);
    }

    function _root(uint256 square) private pure returns (uint256 root) {
        if (square < 4) return square == 0 ? 0 : 1;
        root = square;
        uint256 next = square / 2 + 1;
        while (next < root) {
            root = next;
            next = (square / next + next) / 2;
        }
    }
}
