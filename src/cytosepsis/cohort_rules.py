"""Who belongs to the cohort: the registry's rules as data, each with its source and its settings.

The numbers are fields with defaults; a study changes them under `[cohort]`. Nothing is judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["include", "exclude"]
CancerStatus = Literal["active", "treated", "remission"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `include` must hold, `exclude` must not."""

    name: str
    kind: Kind
    meaning: str  # with the names of settings of `CohortRules` in braces
    source: str
    columns: tuple[str, ...]  # of the clinical sheet


_PILOT = "IMMUNOSEPSIS pilot protocol, bio-protocol.org/bio101/r8959850"
_GRID = "GRID, NCT02361528"
_REGISTRY = "registry entry of the study, NCT04067674"

RULES = (
    Rule("adult", "include", "at least {minimum_age:g} years old", _REGISTRY, ("age",)),
    Rule(
        "infection_site",
        "include",
        "an identifiable site of infection",
        _REGISTRY,
        ("infection_site", "septic_shock"),
    ),
    Rule(
        "hypotension",
        "include",
        "hypotension that persists despite fluids",
        _REGISTRY,
        ("hypotension_despite_fluids", "septic_shock"),
    ),
    Rule(
        "vasopressors",
        "include",
        "needs vasopressors",
        _REGISTRY,
        ("vasopressors", "septic_shock"),
    ),
    Rule(
        "inflammatory_response",
        "include",
        "a systemic inflammatory response",
        _REGISTRY,
        ("systemic_inflammatory_response", "septic_shock"),
    ),
    Rule("hiv", "exclude", "HIV ({hiv_rule})", f"{_REGISTRY}; {_GRID}", ("hiv", "hiv_cd4")),
    Rule(
        "cancer",
        "exclude",
        "cancer",
        f"{_REGISTRY}; {_PILOT}; {_GRID}",
        ("cancer", "cancer_status", "cancer_remission_years"),
    ),
    Rule(
        "immune_deficiency",
        "exclude",
        "primary immune deficiency",
        f"{_REGISTRY}; {_PILOT}",
        ("primary_immune_deficiency",),
    ),
    Rule(
        "steroids",
        "exclude",
        "corticosteroids before admission above {steroid_daily_mg:g} mg/day {steroid_rule} "
        "{steroid_cumulative_mg:g} mg in {steroid_look_back_days} days, as prednisolone",
        f"{_REGISTRY} (or); {_PILOT} and {_GRID} (and); limits: Stuck 1989, "
        "10.1093/clinids/11.6.954",
        ("steroids_before_admission", "icu_admission"),
    ),
    Rule(
        "immunosuppressants",
        "exclude",
        "another immunosuppressive treatment before admission",
        f"{_REGISTRY}; {_PILOT}",
        ("immunosuppressive_treatment", "icu_admission"),
    ),
    Rule(
        "aplasia",
        "exclude",
        "aplasia: neutrophils below {neutrophils_below:g}/mm³",
        f"{_REGISTRY}; {_GRID}",
        ("neutrophils", "aplasia"),
    ),
    Rule(
        "extracorporeal_circulation",
        "exclude",
        "extracorporeal circulation within {extracorporeal_days} days before admission",
        f"{_REGISTRY}; {_PILOT}",
        ("extracorporeal_circulation", "extracorporeal_date", "icu_admission"),
    ),
    Rule(
        "readmission",
        "exclude",
        "a later admission of a person who is counted already",
        "one person is one observation",
        ("episode_id",),
    ),
)

# Milligrams that equal 5 mg of prednisolone as a glucocorticoid: a third of the equivalents of 15
# mg in the US label of prednisolone oral solution. Deflazacort is not in it: 6 mg is what is
# commonly given. A study extends or replaces them.
STEROIDS: tuple[tuple[str, float], ...] = (
    ("prednisolone", 5.0),
    ("prednisone", 5.0),
    ("hydrocortisone", 20.0),
    ("cortisone", 25.0),
    ("methylprednisolone", 4.0),
    ("triamcinolone", 4.0),
    ("dexamethasone", 0.75),
    ("betamethasone", 0.75),
    ("deflazacort", 6.0),
)

# Mineralocorticoids and what else is no glucocorticoid exposure and suppresses nothing.
OTHER_DRUGS = ("fludrocortisone",)

# Drugs that are an immunosuppressive treatment whatever their dose.
IMMUNOSUPPRESSANTS = (
    *("abatacept", "adalimumab", "alemtuzumab", "anakinra", "azathioprine", "baricitinib"),
    *("basiliximab", "belatacept", "ciclosporin", "cyclophosphamide", "cyclosporine"),
    *("etanercept", "everolimus", "fingolimod", "golimumab", "ibrutinib", "infliximab"),
    *("leflunomide", "mercaptopurine", "methotrexate", "mycophenolate", "natalizumab"),
    *("ocrelizumab", "rituximab", "ruxolitinib", "secukinumab", "sirolimus", "tacrolimus"),
    *("thymoglobulin", "tocilizumab", "tofacitinib", "ustekinumab", "vedolizumab"),
)

# Routes by which a steroid is no systemic exposure.
LOCAL_ROUTES = (
    *("inhaled", "nasal", "topical", "cutaneous", "ophthalmic", "otic", "rectal"),
    *("intra-articular", "intravitreal"),
)


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A rule that a study adds: one column of the clinical sheet against one bound or answer.

    It holds where the cell says `answer` (yes or no), or lies below `below` or above `above`.
    """

    name: str
    kind: Kind
    column: str
    meaning: str
    source: str
    answer: bool | None = None
    below: float | None = None
    above: float | None = None


@dataclass(frozen=True, slots=True)
class CohortRules:
    """The settings of every rule; a default is the registry's, else stated where it is used."""

    minimum_age: float = 18.0  # years
    steroid_rule: Literal["or", "and"] = "or"
    steroid_daily_mg: float = 10.0  # mg/day prednisolone-equivalent; above
    steroid_cumulative_mg: float = 700.0  # mg prednisolone-equivalent over the look-back; above
    steroid_look_back_days: int = 90  # before admission; no source states one
    # Whether a patient without a row in the exposure sheet, and without an answer, had none.
    exposures_complete: bool = False
    steroids: tuple[tuple[str, float], ...] = STEROIDS
    immunosuppressants: tuple[str, ...] = IMMUNOSUPPRESSANTS
    immunosuppressant_look_back_days: int = 90
    other_drugs: tuple[str, ...] = OTHER_DRUGS
    local_routes: tuple[str, ...] = LOCAL_ROUTES
    hiv_rule: Literal["any", "cd4"] = "any"  # GRID: only with few CD4 T cells
    hiv_cd4_below: float = 200.0  # cells/µL, of hiv_rule "cd4"
    cancer_solid: tuple[CancerStatus, ...] = ("active", "treated", "remission")
    cancer_blood: tuple[CancerStatus, ...] = ("active", "treated", "remission")
    cancer_solid_years: float | None = None  # a longer remission counts no more; None: always
    cancer_blood_years: float | None = 5.0  # IMMUNOSEPSIS pilot
    neutrophils_below: float = 500.0  # per mm³
    # Days since onset on which measured neutrophils count, inclusive; the lowest is taken. The 24 h
    # before onset are day 0.
    neutrophil_days: tuple[float, float] = (0.0, 1.0)
    extracorporeal_days: int = 30  # "the month before"
    admission: Literal["icu_admission", "shock_onset"] = "icu_admission"
    diagnosis_suffices: bool = False  # `septic_shock` yes stands for empty criteria of shock
    readmissions: Literal["first", "all"] = "first"
    skip: tuple[str, ...] = ()  # rules that are not applied
    own: tuple[OwnRule, ...] = ()
