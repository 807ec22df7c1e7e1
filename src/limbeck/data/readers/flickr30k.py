"""Flickr30k, in the layouts it is passed on in."""

from __future__ import annotations

from limbeck.data.readers.captioned import CaptionedPictures

__all__ = ["Flickr30k"]


class Flickr30k(CaptionedPictures):
    """31,783 photographs, five captions each; Karpathy's split has 29,000 + 1,014 + 1,000 of them."""

    name = "flickr30k"
    description = "Flickr30k: Karpathy's JSON, BLIP's lists, captions.txt, results.csv or the token file"
    karpathy = ("dataset_flickr30k.json", "dataset.json")
    lists = ("flickr30k_{}.json", "flickr30k_karpathy_{}.json")
    tables = ("captions.txt", "captions.csv", "results.csv", "results_20130124.token")
    splits = (
        ("train", ("train.txt", "flickr30k_train.txt")),
        ("validation", ("val.txt", "flickr30k_val.txt")),
        ("test", ("test.txt", "flickr30k_test.txt")),
    )
    folders = ("flickr30k-images", "flickr30k_images", "Images", "images")
