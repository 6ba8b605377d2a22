"""A gate's verdict as JUnit XML, which every CI system shows: one test case for each check of each cell.

A check beyond its limit is a `failure`; one that cannot be told yet an `error`, since it gave no verdict; one that is
not gated is `skipped`. (The format has no standard; this is the part that Jenkins, GitLab and GitHub actions share.)
"""

from xml.etree import ElementTree

from reports.gating import words
from reports.text import clean
from results.gating.limits import Finding, GateVerdict


def junit(verdict: GateVerdict) -> str:
    """The whole file. What a run file says is cleaned of characters that XML forbids, and escaped."""
    cases = verdict.findings
    counts = {
        "tests": str(len(cases)),
        "failures": str(verdict.count("fail")),
        "errors": str(verdict.count("inconclusive")),
        "skipped": str(verdict.count(None)),
    }
    root = ElementTree.Element("testsuites", {"name": "mtpbench gate", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": clean(verdict.file), **counts})
    properties = ElementTree.SubElement(suite, "properties")
    told = [("decision", words.headline(verdict)), ("rules", words.rules(verdict))]
    told += [("baseline", name) for name in verdict.baselines] + [("differs", note) for note in verdict.notes]
    told += [("not gated", line) for line in words.apart(verdict)]
    for name, value in told:
        ElementTree.SubElement(properties, "property", {"name": name, "value": clean(value)})
    for finding in cases:
        _case(suite, finding)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, finding: Finding) -> None:
    name = words.cell_name(finding.cell, finding.number)
    case = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": finding.criterion, "time": "0"})
    told = words.explained(finding)
    match finding.decision:
        case "pass":
            ElementTree.SubElement(case, "system-out").text = told
        case "fail":
            ElementTree.SubElement(case, "failure", {"type": "regression", "message": told}).text = told
        case "inconclusive":
            ElementTree.SubElement(case, "error", {"type": "inconclusive", "message": told}).text = told
        case _:
            ElementTree.SubElement(case, "skipped", {"message": told})
