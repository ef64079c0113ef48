"""Made crawls: real pages at made hosts, with copies and damage as crawls have them."""
