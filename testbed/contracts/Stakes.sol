// SPDX-License-Identifier: MIT OR Apache-2.0
// A contract that is no token and knows a number for each account; and one that pays many accounts at once.
pragma solidity ^0.8.28;

contract Stakes {
    event PowerSet(address indexed account, uint256 power);

    mapping(address account => uint256) public votingPower;

    function set(address account, uint256 power) external {
        votingPower[account] = power;
        emit PowerSet(account, power);
    }
}

contract Disperser {
    function pay(address[] calldata to, uint256[] calldata values) external payable {
        require(to.length == values.length, "lengths differ");
        for (uint256 i = 0; i < to.length; i++) {
            (bool isPaid,) = to[i].call{value: values[i]}("");
            require(isPaid, "not paid");
        }
    }
}
