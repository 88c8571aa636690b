// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AuditProof} from "../types/Types.sol";
import {Field} from "./Field.sol";

/// @title Which classes a model's outputs name
library Classes {
    /// @notice A label is the index of a class, big-endian.
    uint256 internal constant LABEL_BYTES = 2;

    /// @notice How many of the first `samples` samples are classified as their labels say.
    /// @dev Instances are field elements: those above half of the modulus are negative numbers. Outputs are compared exactly.
    /// Of several outputs the largest names the class; where two are equally large none does, so that a model gains nothing by
    /// equal outputs. Of a single output the sign names it: class 1 above zero, else class 0.
    /// Warning: the outputs must have been counted and found canonical, and there must be a label for each sample.
    function countCorrect(AuditProof calldata audit, bytes calldata labels, uint256 samples)
        internal
        pure
        returns (uint256 correct)
    {
        uint256 outputs = audit.statement.layout.outputs;
        for (uint256 i = 0; i < samples; ++i) {
            uint256 label = uint16(bytes2(labels[i * LABEL_BYTES:(i + 1) * LABEL_BYTES]));
            uint256[] calldata sample = audit.instances[i * outputs:(i + 1) * outputs];
            if (outputs == 1 ? label == (_signed(sample[0]) > 0 ? 1 : 0) : _isLargest(sample, label)) ++correct;
        }
    }

    function _isLargest(uint256[] calldata outputs, uint256 label) private pure returns (bool) {
        if (label >= outputs.length) return false;
        int256 largest = _signed(outputs[label]);
        for (uint256 i = 0; i < outputs.length; ++i) {
            if (i != label && _signed(outputs[i]) >= largest) return false;
        }
        return true;
    }

    function _signed(uint256 element) private pure returns (int256) {
        return element <= Field.MODULUS / 2 ? int256(element) : int256(element) - int256(Field.MODULUS);
    }
}
