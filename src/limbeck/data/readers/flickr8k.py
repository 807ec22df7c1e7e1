"""Flickr8k, in the layouts it is passed on in."""

from __future__ import annotations

from limbeck.data.readers.captioned import CaptionedPictures

__all__ = ["Flickr8k"]


class Flickr8k(CaptionedPictures):
    """8,000 photographs of the official lists (6,000 + 1,000 + 1,000), five captions each; 91 more are in no list."""

    name = "flickr8k"
    description = "Flickr8k: Karpathy's JSON, BLIP's lists, captions.txt or the token file + Flickr_8k.*Images.txt"
    karpathy = ("dataset_flickr8k.json", "dataset.json")
    lists = ("flickr8k_{}.json", "flickr8k_karpathy_{}.json")
    tables = ("captions.txt", "captions.csv", "Flickr8k.token.txt")
    splits = (
        ("train", ("Flickr_8k.trainImages.txt",)),
        ("validation", ("Flickr_8k.devImages.txt",)),
        ("test", ("Flickr_8k.testImages.txt",)),
    )
    folders = ("Images", "images", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr8k-images", "flickr8k_images")
