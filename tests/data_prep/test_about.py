"""Facts of a case: short labels from coded tags or a table, never free text, never the patient."""

import pytest
from pydicom.dataset import Dataset

from data_prep.about import About, of_header, of_synthrad_name, read_about
from data_prep.pipeline import prepare
from data_prep.shards import read_case_table
from data_prep.sources import BadInput, find_cases, with_facts

KNOWN = {"Anna-01": About(site="A", scanner="GE SIGNA"), "b": About()}


def header(**tags):
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("maker", "model", "expected"),
    [
        ("GE MEDICAL SYSTEMS", "SIGNA HDxt", "GE SIGNA HDxt"),
        ("SIEMENS", "Verio", "Siemens Verio"),
        ("Siemens Healthineers", "Verio", "Siemens Verio"),
        ("Philips Medical Systems", "Philips Ingenia", "Philips Ingenia"),
        ("", "Achieva", "Achieva"),
        ("", "", None),
        ("GE", "X" * 60, "GE " + "X" * 37),
        ("GE", "at Meyer's desk", None),
    ],
)
def test_a_scanner_is_maker_and_model_in_one_spelling(maker, model, expected):
    found = of_header(
        header(Manufacturer=maker, ManufacturerModelName=model, PatientName="Meyer^Ann")
    )
    assert found.scanner == expected


def test_a_sequence_is_made_of_coded_tags_alone():
    found = of_header(
        header(
            MRAcquisitionType="3D",
            ScanningSequence=["GR", "IR"],
            SequenceVariant="SP",
            RepetitionTime="8.1999",
            EchoTime="3.4",
            InversionTime="450",
            MagneticFieldStrength="3",
            SeriesDescription="Meyer follow-up",
            ProtocolName="Meyer",
        )
    )
    assert found == About(sequence="3D GR/IR SP TR8.2 TE3.4 TI450", field_t=3.0)


@pytest.mark.parametrize("tesla", ["15000", "0", None])
def test_a_field_that_makes_no_sense_is_not_known(tesla):
    odd = of_header(header(MagneticFieldStrength=tesla, ScanningSequence="MEYER", EchoTime=None))
    assert odd == About()


def test_synthrad_s_names_hold_the_site():
    names = ("1BA001", "1PC105", "1HNA001", "1THE042", "1ABB122", "sub-000", "1XX001")
    assert [of_synthrad_name(one).site for one in names] == ["A", "C", "A", "E", "B", None, None]


def table(tmp_path, text):
    (tmp_path / "about.csv").write_text(text)
    return tmp_path / "about.csv"


def test_a_table_fills_in_and_empty_cells_change_nothing(tmp_path):
    text = "subject,site,field_t,diagnosis,registration\nAnna-01,,1.5,meningioma,rigid elastix 5\n"
    found = read_about(table(tmp_path, text), KNOWN)
    assert found["b"] == About()
    assert found["Anna-01"] == About(
        "A", "GE SIGNA", 1.5, diagnosis="meningioma", registration="rigid elastix 5"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,doctor\nb,x\n", "has the columns subject, doctor. Expected subject and any of"),
        ("site\nA\n", "has the columns site. Expected"),
        ("subject,site\nc,A\n", "line 2: no case has this subject"),
        ("subject,site\nb,A\nb,B\n", "line 3: its subject is listed before"),
        ("subject,site\nb,Müller\n", "line 2: site 'Müller' is no short label"),
        (f"subject,site\nb,{'x' * 41}\n", "is no short label"),
        ("subject,field_t\nb,high\n", "line 2: field_t 'high' is no field strength in tesla"),
        ("subject,field_t\nb,nan\n", "line 2: field_t 'nan' is no field strength"),
        ("subject,diagnosis\nAnna-01,of anna-01\n", "line 2: diagnosis holds the patient's id"),
        ("subject,site\nb,A,extra\n", "line 2: more cells than columns"),
    ],
)
def test_a_table_with_mistakes_is_refused(tmp_path, text, message):
    with pytest.raises(BadInput) as caught:
        read_about(table(tmp_path, text), KNOWN)
    assert message in str(caught.value)
    assert "of anna-01" not in str(caught.value)


def test_all_mistakes_come_at_once_and_an_absent_table_says_what_it_holds(tmp_path):
    text = "subject,site,field_t\nc,A,\nb,?,9000\n"
    with pytest.raises(BadInput, match=r"3 mistakes: line 2: .*; line 3: site .*; line 3: field_t"):
        read_about(table(tmp_path, text), KNOWN)
    with pytest.raises(BadInput, match=r"no such file\. Expected a CSV with the columns subject"):
        read_about(tmp_path / "none.csv", KNOWN)


def test_facts_reach_the_case_table_and_change_without_doing_cases_anew(
    data, own_collection, config, tmp_path
):
    text = "subject,site,field_t\nSecret-0,A,1.5\nSecret-1,B,\n"
    cases = with_facts(find_cases("synthrad", own_collection), table(tmp_path, text))
    before = {path: path.stat().st_mtime_ns for path in data.glob("*/*.p*")}
    prepare(cases, data, config)
    rows = {row["subject"]: row for row in read_case_table(data).to_pylist()}
    assert (rows["Secret-0"]["site"], rows["Secret-0"]["field_t"]) == ("A", 1.5)
    assert (rows["Secret-1"]["site"], rows["Secret-1"]["field_t"]) == ("B", None)
    assert rows["Secret-2"]["site"] is None
    assert {row["registration"] for row in rows.values()} == {"source"}
    assert {path: path.stat().st_mtime_ns for path in data.glob("*/*.p*")} == before
