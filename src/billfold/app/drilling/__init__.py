"""A drill: a backup of the signer's seeds, restored in a place of its own, must derive every address that is ours.

`scratch` is that place, `comparing` derives and compares, `scanning` asks the chains, `drill` is the order of steps.
"""
