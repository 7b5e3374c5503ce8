"""Pipeline files that ``syncline init`` copies: ordinary pipelines, which the program itself never imports."""
