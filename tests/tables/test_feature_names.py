"""Names of features split into their parts."""

import pytest

from phenoprint.tables import split_channels, split_feature


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Nuclei_AreaShape_Zernike_9_1", ("Nuclei", "AreaShape", "Zernike", None, "9_1")),
        ("Cells_Correlation_RWC_ER_DNA", ("Cells", "Correlation", "RWC", "ER,DNA", None)),
        (
            "Cytoplasm_RadialDistribution_FracAtD_RNA_3of4",
            ("Cytoplasm", "RadialDistribution", "FracAtD", "RNA", "3of4"),
        ),
        ("Cells_Granularity_2_Mito_deep", ("Cells", "Granularity", "2", "Mito_deep", None)),
        ("Cells_Neighbors", ("Cells", "Neighbors", None, None, None)),
        ("Primary_Intensity_wv2", (None, None, "Primary_Intensity_wv2", "wv2", None)),
        ("Cells", (None, None, "Cells", None, None)),
    ],
)
def test_parts_of_a_name(name, parts):
    assert split_feature(name, ["DNA", "ER", "RNA", "Mito", "Mito_deep"]) == parts


def test_words_and_channels_give_the_name_back():
    for name in ("RWC_Mito_Mito_deep", "DNAx_DNA_3_00_256", ""):
        assert "_".join(word for word, _ in split_channels(name, ["Mito", "Mito_deep", "DNA"])) == name
    assert split_channels("DNAx", ["DNA"]) == [("DNAx", False)]
