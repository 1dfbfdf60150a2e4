"""ADH on the creatures with coats: plain CAM's config with dual hiding at three places.

On the demo's creatures nothing but the head tells the class, so that a hidden head leaves nothing
to learn; here the coat tells it too.
"""

_base_ = ["../cam/cam_small_creatures_coats.py"]

# Shares and dispersions are those of ASS's config, and why is told there. Areas of 5 positions at
# the thesis's first place and of 3 at the others grow as the side: to 4.3 and 5.1.
_hiding = dict(type="adh.DualHiding", peak=0.5, block_size=5)
_late = dict(**_hiding, selection=dict(dispersion=118.0, small_target=0.02))
model = dict(
    inserts=dict(
        early=dict(
            at="stage2", module=dict(**_hiding, selection=dict(dispersion=29.0, small_target=0.02))
        ),
        middle=dict(at="stage3", module=_late),
        late=dict(at="stage4", module=_late),
    )
)
