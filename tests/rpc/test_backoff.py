"""Waits between attempts. Pure."""

from __future__ import annotations

from pctx_jupyter.rpc.backoff import BackOff


def test_waits_double_up_to_the_longest_and_begin_again_after_a_success() -> None:
    back_off = BackOff(1.0, 4.0)
    for most in (1.0, 2.0, 4.0, 4.0):
        assert most / 2 <= back_off.next_s() <= most
    back_off.reset()
    assert back_off.next_s() <= 1.0
