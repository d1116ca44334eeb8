"""Runs CellProfiler 4.2.8's measurement modules on one field; `features.py` starts this in CellProfiler's own Python.

CellProfiler needs an environment of its own: Python 3.9 without a window system. With a Java runtime present::

    python3.9 -m venv cp && cp/bin/pip install numpy==1.23.5 "setuptools<70" wheel "cython<3"
    cp/bin/pip install --no-deps cellprofiler==4.2.8.1 cellprofiler-core==4.2.8.1 prokaryote==2.4.4 \
        python-bioformats==4.1.0 scikit-image==0.18.3 scipy==1.9.0
    cp/bin/pip install --no-build-isolation python-javabridge==4.0.4
    cp/bin/pip install centrosome==1.2.3 mahotas "h5py<3.8" "matplotlib<3.8" "scikit-learn<1" "tifffile<2024.9" \
        docutils imageio inflect jinja2 joblib boto3 pyzmq psutil requests rapidfuzz scyjava sentry-sdk==0.18.0 \
        google-cloud-storage fsspec six future PyWavelets networkx
    CELLPROFILER_PYTHON=$PWD/cp/bin/python python tests/benchmarks/features.py

Usage: ``cellprofiler_peer.py FOLDER RESULT.json CHANNEL...``. FOLDER holds ``<channel>.tif``, ``nuclei.tif`` and
``cells.tif``. RESULT gets the CPU seconds of each module, and, with ``--values``, all measurements as lists.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

OBJECTS = ["Nuclei", "Cells", "Cytoplasm"]


def modules(channels: list[str], neighbor_distance: int | None, extra: bool) -> list[tuple[str, object]]:
    """The modules of a Cell Painting pipeline with the settings of the reference."""
    from cellprofiler.modules.measurecolocalization import M_FASTER, MeasureColocalization
    from cellprofiler.modules.measuregranularity import MeasureGranularity
    from cellprofiler.modules.measureimageintensity import MeasureImageIntensity
    from cellprofiler.modules.measureimagequality import MeasureImageQuality
    from cellprofiler.modules.measureobjectintensity import MeasureObjectIntensity
    from cellprofiler.modules.measureobjectintensitydistribution import (
        Z_MAGNITUDES_AND_PHASE,
        MeasureObjectIntensityDistribution,
    )
    from cellprofiler.modules.measureobjectneighbors import D_ADJACENT, D_WITHIN, MeasureObjectNeighbors
    from cellprofiler.modules.measureobjectsizeshape import MeasureObjectSizeShape
    from cellprofiler.modules.measuretexture import MeasureTexture

    images, objects = ", ".join(channels), ", ".join(OBJECTS)
    shape = MeasureObjectSizeShape()
    shape.objects_list.value = objects
    shape.calculate_advanced.value = True
    shape.calculate_zernikes.value = True
    intensity = MeasureObjectIntensity()
    intensity.images_list.value, intensity.objects_list.value = images, objects
    texture = MeasureTexture()
    texture.images_list.value, texture.objects_list.value = images, objects
    texture.gray_levels.value = 256
    texture.images_or_objects.value = "Both"
    for _ in range(2):
        texture.add_scale()
    for group, scale in zip(texture.scale_groups, (3, 5, 10)):  # noqa: B905 - Python 3.9
        group.scale.value = scale
    granularity = MeasureGranularity()
    granularity.images_list.value, granularity.objects_list.value = images, objects
    granularity.wants_objects.value = True
    granularity.subsample_size.value = granularity.image_sample_size.value = 0.25
    granularity.element_size.value = 10
    granularity.granular_spectrum_length.value = 16
    radial = MeasureObjectIntensityDistribution()
    radial.images_list.value = images
    for _ in range(len(OBJECTS) - len(radial.objects)):
        radial.add_object()
    for group, name in zip(radial.objects, OBJECTS):  # noqa: B905 - Python 3.9
        group.object_name.value = name
    radial.wants_zernikes.value = Z_MAGNITUDES_AND_PHASE
    radial.zernike_degree.value = 9
    colocalization = MeasureColocalization()
    colocalization.images_list.value, colocalization.objects_list.value = images, objects
    colocalization.images_or_objects.value = "Both"
    colocalization.thr.value = 15.0
    colocalization.do_all.value = True
    colocalization.fast_costes.value = M_FASTER
    neighbors = MeasureObjectNeighbors()
    neighbors.object_name.value = neighbors.neighbors_name.value = "Cells"
    neighbors.distance_method.value = D_ADJACENT if neighbor_distance is None else D_WITHIN
    neighbors.distance.value = neighbor_distance or 5
    chosen: list[tuple[str, object]] = [
        ("SizeShape", shape),
        ("Intensity", intensity),
        ("Texture", texture),
        ("Granularity", granularity),
        ("IntensityDistribution", radial),
        ("Colocalization", colocalization),
        ("Neighbors", neighbors),
    ]
    if extra:
        whole = MeasureImageIntensity()
        whole.images_list.value = images
        quality = MeasureImageQuality()
        quality.images_choice.value = "Select..."
        quality.image_groups[0].image_names.value = images
        quality.image_groups[0].check_blur.value = True
        chosen += [("ImageIntensity", whole), ("ImageQuality", quality)]
    return chosen


def run(folder: Path, channels: list[str], chosen: list[tuple[str, object]]) -> tuple[dict, dict]:
    """CPU seconds of each module, and every measurement by object and name."""
    import tifffile
    from cellprofiler_core.image import Image, ImageSetList
    from cellprofiler_core.measurement import Measurements
    from cellprofiler_core.object import Objects, ObjectSet
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.workspace import Workspace

    images = ImageSetList()
    image_set = images.get_image_set(0)
    for channel in channels:
        pixels = tifffile.imread(str(folder / f"{channel}.tif"))
        top = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
        image_set.add(channel, Image((pixels / np.float64(top)).astype(np.float32), scale=float(top)))
    labels = {name: tifffile.imread(str(folder / f"{name.lower()}.tif")).astype(np.int32) for name in OBJECTS[:2]}
    labels["Cytoplasm"] = np.where(labels["Nuclei"] > 0, 0, labels["Cells"])
    objects = ObjectSet()
    for name in OBJECTS:
        each = Objects()
        each.segmented = labels[name]
        objects.add_objects(each, name)
    pipeline = Pipeline()
    measurements = Measurements()
    seconds = {}
    for number, (name, module) in enumerate(chosen, 1):
        module.set_module_num(number)
        workspace = Workspace(pipeline, module, image_set, objects, measurements, images)
        start = time.process_time()
        module.run(workspace)
        seconds[name] = time.process_time() - start
    values: dict = {}
    for name in sorted({"Image", *OBJECTS} & set(measurements.get_object_names())):
        values[name] = {}
        for feature in measurements.get_feature_names(name):
            found = measurements.get_current_measurement(name, feature)
            numbers = np.atleast_1d(np.asarray(found))
            if numbers.dtype.kind in "fiub":
                values[name][feature] = [float(x) for x in numbers.reshape(-1)]
    return seconds, values


def main() -> None:
    """Run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("channels", nargs="+")
    parser.add_argument("--values", action="store_true", help="write every measurement too")
    parser.add_argument("--extra", action="store_true", help="image intensity and image quality too")
    parser.add_argument("--only", nargs="*", help="names of modules")
    parser.add_argument("--neighbor-distance", type=int, help="neighbours within so many pixels, not adjacent")
    options = parser.parse_args()
    import cellprofiler_core.preferences

    cellprofiler_core.preferences.set_headless()
    import cellprofiler

    chosen = modules(options.channels, options.neighbor_distance, options.extra)
    if options.only:
        chosen = [(name, module) for name, module in chosen if name in options.only]
    seconds, values = run(options.folder, options.channels, chosen)
    result = {
        "version": getattr(cellprofiler, "__version__", ""),
        "python": sys.version.split()[0],
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if options.values:
        result["values"] = values
    options.result.write_text(json.dumps(result))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
