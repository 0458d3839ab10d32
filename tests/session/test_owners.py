"""Names of owners: how many are kept, and that they do not move."""

from __future__ import annotations

from pctx_jupyter.session import owners
from pctx_jupyter.session.owners import NameOwners


def test_the_names_of_notebooks_that_are_absent_are_kept_up_to_a_number() -> None:
    known = NameOwners()
    for number in range(owners.MOST_ABSENT + 50):
        known.name_kernel(f"k{number}", "report", f"{number}/report.ipynb", ())
        known.forget_kernel(f"k{number}")
    is_kept = [known.get(("notebook", f"{n}/report.ipynb")) is not None for n in range(owners.MOST_ABSENT + 50)]
    assert known.kernels == [] and is_kept == [False] * 50 + [True] * owners.MOST_ABSENT


def test_the_names_of_a_services_namespaces_are_kept_up_to_a_number() -> None:
    known = NameOwners()
    for number in range(owners.MOST_OF_SERVICE + 1):
        assert known.name_service("s", f"N{number}", "Billing", ()) == f"N{number}"
    assert known.named("N0") is None and known.named("N1") is not None


def test_a_notebook_that_comes_back_has_the_name_that_no_other_got_meanwhile() -> None:
    known = NameOwners()
    for kernel_id, path in (("k1", "a/report.ipynb"), ("k2", "b/report.ipynb")):
        known.name_kernel(kernel_id, "report", path, ())
    known.forget_kernel("k1")
    assert known.name_kernel("k3", "report", "c/report.ipynb", ()).name == "Report3"
    again = known.name_kernel("k4", "report", "a/report.ipynb", ())
    assert (again.name, again.cause) == ("Report", "shut down")
