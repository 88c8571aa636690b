"""Where samples and features stand: `packing` in the slots of requests, `visible` in the coefficients of responses."""
