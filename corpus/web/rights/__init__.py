"""Rights: what a page, its host and its headers say of use, and who the crawlers for AI are."""
