"""From a folder of clips to a distilled set that others can load: manifest, store, set, scores, report, export."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from clips import make_clips

import limbeck
from limbeck.data import PrepareSettings
from limbeck.data.prepare import prepare
from limbeck.export import export
from limbeck.report import write_report

MEDIA = {".mp4", ".mkv", ".webm", ".mov", ".avi"}


def main() -> None:
    options = read_options()
    out = Path(options.out)
    if options.clips is None:
        make_clips(out / "clips", options.each)
    clips = Path(options.clips or out / "clips")
    manifest = write_manifest(clips, clips / "manifest.csv")
    sides = {"image_size": options.size, "frames": options.size, "n_mels": options.size}
    settings = PrepareSettings(**sides, window=1.0, n_fft=1024, test=0.25)
    store = prepare("manifest", manifest, out / "store", settings=settings, workers=options.threads, progress=False)
    print("prepared:", store.summary()["splits"])
    run = out / "run"
    machine = {"threads": options.threads, "kernels": options.kernels}
    size = {"per_class": options.per_class, "steps": options.steps}
    limbeck.distill(options.method, store, out=run, resume=run.exists(), **size, **machine)
    scores = limbeck.evaluate(run, seeds=range(options.students), **machine)
    for name, mean in scores["mean"].items():
        print(f"{name:6} {mean:5.1f} % of test clips, n = {scores['n']}, chance {scores['chance']:.1f}")
    print("report:  ", write_report(run))
    for to in ("folder", "huggingface"):
        print("exported:", export(run, out / to, to, overwrite=True))


def write_manifest(clips: Path, path: Path) -> Path:
    """One line a clip: the file, and the folder it lies in as its label."""
    found = sorted(file for file in clips.glob("*/*") if file.suffix.lower() in MEDIA)
    if not found:
        raise SystemExit(f"{clips}: no clips. They are expected as CLIPS/LABEL/NAME.mp4")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video", "label"])
        table.writerows([clip.relative_to(clips).as_posix(), clip.parent.name] for clip in found)
    return path


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="?", help="folder of CLIPS/LABEL/NAME.mp4 (default: some are made)")
    parser.add_argument("--each", type=int, default=16, help="clips of each kind, where they are made")
    parser.add_argument("--size", type=int, default=32, help="side of pictures and spectrograms")
    parser.add_argument("--method", default="avdd", help="`limbeck methods` lists them")
    parser.add_argument("--per-class", type=int, default=1)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--students", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the CPU (default: its cores)")
    parser.add_argument("--kernels", default="auto", help="literal needs no compiling, which short runs do not repay")
    parser.add_argument("--out", default="runs/own_clips")
    return parser.parse_args()


if __name__ == "__main__":
    main()
