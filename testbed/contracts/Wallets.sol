// SPDX-License-Identifier: MIT OR Apache-2.0
// Contracts that say whether a signature is theirs (ERC-1271), in the ways that wallets do and in ways that none should.
pragma solidity ^0.8.28;

bytes4 constant MAGIC = 0x1626ba7e;
bytes4 constant OLD_MAGIC = 0x20c13b0b;
bytes4 constant REFUSED = 0xffffffff;

// Whose signature it is: r, s and v, 65 bytes. Zero if nobody's.
function signerOf(bytes32 digest, bytes memory signature) pure returns (address) {
    if (signature.length != 65) {
        return address(0);
    }
    bytes32 r;
    bytes32 s;
    uint8 v;
    assembly {
        r := mload(add(signature, 32))
        s := mload(add(signature, 64))
        v := byte(0, mload(add(signature, 96)))
    }
    return ecrecover(digest, v, r, s);
}

// One key signs for it; another one once the owner is changed.
contract OwnerWallet {
    address public owner;

    constructor(address first) {
        owner = first;
    }

    function setOwner(address next) external {
        owner = next;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view virtual returns (bytes4) {
        return signerOf(digest, signature) == owner ? MAGIC : REFUSED;
    }
}

// Accepts nothing until anybody opens it: a deployed account that needs a preparation.
contract ClosedWallet is OwnerWallet {
    bool public isOpen;

    constructor(address first) OwnerWallet(first) {}

    function open() external {
        isOpen = true;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view override returns (bytes4) {
        require(isOpen, "closed");
        return signerOf(digest, signature) == owner ? MAGIC : REFUSED;
    }
}

// Speaks ERC-1271's draft only.
contract OldWallet {
    address public owner;

    constructor(address first) {
        owner = first;
    }

    function isValidSignature(bytes calldata data, bytes calldata signature) external view returns (bytes4) {
        require(data.length == 32, "no digest");
        return signerOf(bytes32(data), signature) == owner ? OLD_MAGIC : REFUSED;
    }
}

// Makes wallets at addresses that are known before.
contract WalletFactory {
    function make(address owner, uint256 salt) external returns (address) {
        return address(new OwnerWallet{salt: bytes32(salt)}(owner));
    }

    function addressOf(address owner, uint256 salt) external view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(OwnerWallet).creationCode, abi.encode(owner)));
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", address(this), bytes32(salt), code)))));
    }
}

// What an account may delegate to (EIP-7702): its own key signs for it, and so does another one once it is named.
contract DelegateWallet {
    address public other;

    function setOther(address next) external {
        other = next;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        address signer = signerOf(digest, signature);
        return signer != address(0) && (signer == address(this) || signer == other) ? MAGIC : REFUSED;
    }
}

// Answers whatever is asked in one odd way.
contract OddWallet {
    // The order is that of `pnyx_testbed::evm::OddWallet`.
    enum Odd {
        Not,
        Reverts,
        RevertsWithMagic,
        RevertsWithMegabyte,
        ReturnsNothing,
        Returns4Bytes,
        Returns64Bytes,
        ReturnsMoreThanMagic,
        ReturnsOldMagic,
        ReturnsMegabyte,
        BurnsAllGas,
        HitsInvalid,
        AcceptsInEvenBlocks,
        TakesGas,
        AcceptsWithLittleGas,
        AcceptsWithMuchGas,
        AcceptsIfNeighbourIsWarm,
        AcceptsIfNeighbourAsks,
        AcceptsWithoutMiner,
        AcceptsIfCallersCodeIsAsLong,
        AcceptsSlowlyIfCallersCodeIsAsLong
    }

    uint256 private constant MEGABYTE = 1 << 20;

    // A call that uses half of what it gets in a batch is costly; all gas of a check is ten million.
    uint256 private constant TAKEN_GAS = 5_000_000;
    uint256 private constant LITTLE_GAS = 1_000_000;

    // An account that was looked at in the same transaction costs 100 gas instead of 2,600.
    uint256 private constant WARM_GAS = 1_000;

    Odd private immutable odd;
    address private immutable neighbour;

    constructor(Odd odd_, address neighbour_) {
        odd = odd_;
        neighbour = neighbour_;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        uint256 gasAtStart = gasleft();
        bytes32 magic = MAGIC;
        if (odd == Odd.Reverts) {
            revert("this wallet reverts");
        } else if (odd == Odd.RevertsWithMagic) {
            assembly { mstore(0, magic) revert(0, 32) }
        } else if (odd == Odd.RevertsWithMegabyte) {
            assembly { revert(0, MEGABYTE) }
        } else if (odd == Odd.ReturnsNothing) {
            assembly { return(0, 0) }
        } else if (odd == Odd.Returns4Bytes) {
            assembly { mstore(0, magic) return(0, 4) }
        } else if (odd == Odd.Returns64Bytes) {
            assembly { mstore(0, magic) mstore(32, 0) return(0, 64) }
        } else if (odd == Odd.ReturnsMoreThanMagic) {
            assembly { mstore(0, or(magic, 1)) return(0, 32) }
        } else if (odd == Odd.ReturnsOldMagic) {
            return OLD_MAGIC;
        } else if (odd == Odd.ReturnsMegabyte) {
            assembly { mstore(0, magic) return(0, MEGABYTE) }
        } else if (odd == Odd.BurnsAllGas) {
            assembly { for {} 1 {} {} }
        } else if (odd == Odd.HitsInvalid) {
            assembly { invalid() }
        } else if (odd == Odd.AcceptsInEvenBlocks) {
            return block.number % 2 == 0 ? MAGIC : REFUSED;
        } else if (odd == Odd.TakesGas) {
            while (gasAtStart - gasleft() < TAKEN_GAS) {}
        } else if (odd == Odd.AcceptsWithLittleGas) {
            return gasAtStart < LITTLE_GAS ? MAGIC : REFUSED;
        } else if (odd == Odd.AcceptsWithMuchGas) {
            require(gasAtStart > LITTLE_GAS, "little gas");
        } else if (odd == Odd.AcceptsIfNeighbourIsWarm) {
            uint256 gasBefore = gasleft();
            uint256 balance = neighbour.balance;
            return gasBefore - gasleft() < WARM_GAS + balance ? MAGIC : REFUSED;
        } else if (odd == Odd.AcceptsIfNeighbourAsks) {
            return msg.sender == neighbour ? MAGIC : REFUSED;
        } else if (odd == Odd.AcceptsWithoutMiner) {
            return block.coinbase == address(0) ? MAGIC : REFUSED;
        } else if (odd == Odd.AcceptsIfCallersCodeIsAsLong) {
            return msg.sender.code.length == uint160(neighbour) ? MAGIC : REFUSED;
        } else if (odd == Odd.AcceptsSlowlyIfCallersCodeIsAsLong) {
            while (gasAtStart - gasleft() < LITTLE_GAS / 2) {}
            return msg.sender.code.length == uint160(neighbour) ? MAGIC : REFUSED;
        }
        return MAGIC;
    }
}

interface SafeFactory {
    function createProxyWithNonce(address singleton, bytes memory initializer, uint256 salt) external returns (address);
}

// Makes many Safes of the same owners in one transaction.
contract SafeMaker {
    function make(SafeFactory factory, address singleton, uint256 firstSalt, uint256 count, bytes calldata initializer)
        external
    {
        for (uint256 i = 0; i < count; i++) {
            factory.createProxyWithNonce(singleton, initializer, firstSalt + i);
        }
    }
}
