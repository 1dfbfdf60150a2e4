"""How data sets lie on disk.

A layout is a reader, one file each: :mod:`.cub`, :mod:`.ilsvrc`, :mod:`.openimages`, :mod:`.voc`,
:mod:`.coco`, :mod:`.tinyimagenet`, :mod:`.metadata` (wsolevaluation's), and for your own photos
:mod:`.folders` and :mod:`.csv_table`. To add one, read :mod:`.base`, which is what it implements,
and :mod:`.cub`, which is a whole one.

What they are made of:

- :mod:`.packing` checks what a reader says of each image and puts it into columns;
- :mod:`.lines` reads text files of a key and its fields a line, :mod:`.voc_xml` an annotation file
  of VOC, ILSVRC and labelling tools, :mod:`.coco_file` (by :mod:`.coco_lists`) one of COCO,
  :mod:`.csv_rows` a table;
- :mod:`.ilsvrc_files` and :mod:`.folder_boxes` find annotations beside images;
- :mod:`.image_paths`, :mod:`.borders` and :mod:`.class_names` each settle one thing for all: paths
  that stay in their folder, boxes that rounding moved across the border, names that are unique;
- :mod:`.surroundings` tells in errors what lies where a file is missing.
"""
