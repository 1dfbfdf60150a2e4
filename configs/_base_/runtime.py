"""What every run shares."""

randomness = dict(seed=0)
log_interval = 50
checkpoint = dict(interval=1, max_keep_ckpts=2)
