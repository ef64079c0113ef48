"""Crawls of Common Crawl: layout, columnar index, byte ranges, costs."""
