"""Syncline copies records from SaaS systems into a warehouse and keeps the copy provably true.

Start with :mod:`syncline.pipelines` (what a user writes), :mod:`syncline.connectors` (how a source is read),
:mod:`syncline.sinks` (landing and warehouses) and :mod:`syncline.state` (what is remembered between runs).
"""

__version__ = "0.1.0"
