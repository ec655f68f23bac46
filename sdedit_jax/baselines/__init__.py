"""The methods that SDEdit is compared with: arrays in, arrays out, as the paper's tables have them.

`filters` cost nothing, `blending` softens seams, `gan` finds the nearest picture that a generator can make. Sampling
without a guide is `sampling.sample`, or `sdedit` at t0 = 1.
"""
