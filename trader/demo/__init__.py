"""The demo: one complete trade, honest or with a cheat, of a model trained on real data.

Read `training` (the models that are sold), `cheats` (who misbehaves how), then `run` (the trade) and `timeline` (what
is shown of it). `run_demo` plays it with the very drivers that real parties use.
"""
