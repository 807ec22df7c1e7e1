"""COCO 2014's captions, in Karpathy's split or the official one."""

from __future__ import annotations

from limbeck.data.readers.captioned import CaptionedPictures

__all__ = ["COCO"]


class COCO(CaptionedPictures):
    """Karpathy's split (113,287 + 5,000 + 5,000 pictures, five to seven captions each) where its files are there; else
    the official one, whose test captions are not public."""

    name = "coco"
    description = "COCO captions: Karpathy's JSON (restval trains), BLIP's lists, or captions_{train,val}2014.json"
    karpathy = ("dataset_coco.json", "dataset.json")
    lists = ("coco_karpathy_{}.json", "coco_{}.json")
    official = (
        ("captions_train2014.json", "train"),
        ("captions_val2014.json", "validation"),
        ("captions_train2017.json", "train"),
        ("captions_val2017.json", "validation"),
    )
    folders = ("images", "train2014", "val2014", "images/train2014", "images/val2014", "train2017", "val2017")
