// SPDX-License-Identifier: MIT OR Apache-2.0
// A token that answers as it should, except for chosen holders.
pragma solidity ^0.8.28;

contract OddToken {
    // The order is that of `pnyx_testbed::evm::Odd`.
    enum Odd {
        Not,
        Reverts,
        RevertsWithMegabyte,
        ReturnsNothing,
        Returns31Bytes,
        Returns64Bytes,
        ReturnsMegabyte,
        BurnsAllGas,
        HitsInvalid,
        CountsBlocks,
        TakesGas
    }

    event Transfer(address indexed from, address indexed to, uint256 value);

    uint256 private constant MEGABYTE = 1 << 20;

    mapping(address account => uint256) private _balances;
    mapping(address account => Odd) private _odd;
    // Gas that a look-up of an account burns before it is answered, if that account takes gas.
    mapping(address account => uint256) private _gas;

    function mint(address to, uint256 value) external {
        _balances[to] += value;
        emit Transfer(address(0), to, value);
    }

    function setOdd(address account, Odd odd) external {
        _odd[account] = odd;
    }

    function takeGas(address account, uint256 gasTaken) external {
        _odd[account] = Odd.TakesGas;
        _gas[account] = gasTaken;
    }

    function balanceOf(address account) external view returns (uint256) {
        return _answer(account);
    }

    function getVotes(address account) external view returns (uint256) {
        return _answer(account);
    }

    function _answer(address account) private view returns (uint256) {
        Odd odd = _odd[account];
        uint256 value = _balances[account];
        if (odd == Odd.Reverts) {
            revert("this holder reverts");
        } else if (odd == Odd.RevertsWithMegabyte) {
            assembly { revert(0, MEGABYTE) }
        } else if (odd == Odd.ReturnsNothing) {
            assembly { return(0, 0) }
        } else if (odd == Odd.Returns31Bytes) {
            assembly { mstore(0, value) return(0, 31) }
        } else if (odd == Odd.Returns64Bytes) {
            assembly { mstore(0, value) mstore(32, value) return(0, 64) }
        } else if (odd == Odd.ReturnsMegabyte) {
            assembly { mstore(0, value) return(0, MEGABYTE) }
        } else if (odd == Odd.BurnsAllGas) {
            assembly { for {} 1 {} {} }
        } else if (odd == Odd.HitsInvalid) {
            assembly { invalid() }
        } else if (odd == Odd.CountsBlocks) {
            return block.number;
        } else if (odd == Odd.TakesGas) {
            uint256 start = gasleft();
            uint256 taken = _gas[account];
            while (start - gasleft() < taken) {}
        }
        return value;
    }
}
