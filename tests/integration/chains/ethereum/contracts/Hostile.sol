// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Token} from "Token.sol";

/// Moves nine tenths of what its event says.
contract Keeping is Token {
    constructor() Token("Keeping", "KEEP", 6) {}

    function send(address to, uint256 value) external {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value - value / 10;
        totalSupply -= value / 10;
        emit Transfer(msg.sender, to, value);
    }
}

/// Tells of transfers that never were, as a function of its own and as `transfer` itself.
contract Lying {
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function lie(address to, uint256 value) external {
        emit Transfer(msg.sender, to, value);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        emit Transfer(msg.sender, to, value);
        return true;
    }

    /// Events that no reader of ERC-20 expects: the topics of an NFT, and none but the first.
    function mumble(address to) external {
        bytes32 kind = keccak256("Transfer(address,address,uint256)");
        bytes32 who = bytes32(uint256(uint160(to)));
        assembly {
            log4(0, 0, kind, who, who, 7)
            mstore(0, 1000)
            log1(0, 32, kind)
            log3(0, 5, kind, not(0), not(0))
        }
    }
}

/// Calls whoever is paid before it has written down that it paid, so that an event can be had twice for one payment.
contract Calling {
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function transfer(address to, uint256 value) public returns (bool) {
        uint256 before = balanceOf[msg.sender];
        uint256 has = balanceOf[to];
        require(before >= value, "short");
        if (msg.sender.code.length > 0) Again(msg.sender).again(to, value);
        balanceOf[msg.sender] = before - value;
        balanceOf[to] = has + value;
        emit Transfer(msg.sender, to, value);
        return true;
    }
}

/// Enters Calling once more from within.
contract Again {
    bool inside;

    function go(Calling token, address to, uint256 value) external {
        inside = true;
        token.transfer(to, value);
    }

    function again(address to, uint256 value) external {
        if (!inside) return;
        inside = false;
        Calling(msg.sender).transfer(to, value);
    }
}

/// A token behind another contract's address, as most of the large ones are.
contract Proxy {
    address immutable inner;

    constructor(address inner_) {
        inner = inner_;
    }

    fallback() external {
        address target = inner;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let done := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if done { return(0, returndatasize()) }
            revert(0, returndatasize())
        }
    }
}

/// Pays on, and pays in a call that is taken back although the transaction succeeds.
contract Paying {
    function pay(address payable to) external payable {
        (bool done,) = to.call{value: msg.value}("");
        require(done, "not taken");
    }

    function pretend(address payable to) external payable {
        try this.payAndFail{value: msg.value}(to, address(0), 0) {} catch {}
    }

    function pretendToken(address token, address to, uint256 value) external {
        try this.payAndFail(payable(to), token, value) {} catch {}
    }

    function payAndFail(address payable to, address token, uint256 value) external payable {
        if (token == address(0)) to.transfer(msg.value);
        else Token(token).transfer(to, value);
        revert("taken back");
    }

    /// Leaves all that it has to somebody, without calling them.
    function leave(address payable to) external payable {
        new Leaving{value: msg.value}(to);
    }
}

contract Leaving {
    constructor(address payable to) payable {
        selfdestruct(to);
    }
}

/// Takes no coin.
contract Deaf {}

/// Says nothing where ERC-20 wants a yes, as the oldest tokens do.
contract Silent {
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    constructor() {
        balanceOf[msg.sender] = 1e12;
    }

    function transfer(address to, uint256 value) external {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
    }
}

/// Tells no balance.
contract Mute {
    event Transfer(address indexed from, address indexed to, uint256 value);

    function lie(address to, uint256 value) external {
        emit Transfer(msg.sender, to, value);
    }
}

/// Has plenty for everybody, says neither yes nor an event, and moves nothing.
contract Unwilling {
    function balanceOf(address) external pure returns (uint256) {
        return 1e30;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }
}

/// Takes a thousandth of each transfer for itself, and says so in an event, as the oldest tokens may begin to.
contract Taking {
    mapping(address => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function transfer(address to, uint256 value) external {
        uint256 taken = value / 1000;
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value - taken;
        balanceOf[address(this)] += taken;
        emit Transfer(msg.sender, to, value - taken);
        emit Transfer(msg.sender, address(this), taken);
    }
}
