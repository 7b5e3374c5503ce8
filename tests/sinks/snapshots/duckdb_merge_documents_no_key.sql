-- count rows
SELECT
  (
    SELECT
      COUNT(*)
    FROM "crm"."main"."Account"
  ),
  (
    SELECT
      COUNT(*)
    FROM "crm"."main"."Account" AS "t"
    WHERE
      TRUE
  ),
  (
    SELECT
      COUNT(*)
    FROM "temp"."main"."Account__20240203T040506-abc"
  );

-- supersede
INSERT INTO "temp"."main"."Account__20240203T040506-abc__changes" (
  "seq",
  "target",
  "action"
)
SELECT
  "s"."_syncline_seq",
  NULL,
  'superseded'
FROM (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
    CAST("Doc" AS JSON) AS "Doc",
    "Old" AS "Old",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone",
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
            '-'
          ),
          COALESCE(
            LENGTH(CAST(CAST("Doc" AS JSON) AS TEXT)) || ':' || CAST(CAST("Doc" AS JSON) AS TEXT),
            '-'
          ),
          COALESCE(LENGTH(CAST("Old" AS TEXT)) || ':' || CAST("Old" AS TEXT), '-')
        )
      )
    ) AS "_syncline_digest"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "s"
JOIN (
  SELECT
    "_syncline_digest"
  FROM (
    SELECT
      "Id",
      "Na""me",
      "Amount",
      "SystemModstamp",
      CAST("Doc" AS JSON) AS "Doc",
      "Old" AS "Old",
      "_syncline_deleted",
      "_syncline_seq",
      "_syncline_tombstone",
      UNHEX(
        SHA256(
          CONCAT(
            COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
            COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
            COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
            COALESCE(
              LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
              '-'
            ),
            COALESCE(
              LENGTH(CAST(CAST("Doc" AS JSON) AS TEXT)) || ':' || CAST(CAST("Doc" AS JSON) AS TEXT),
              '-'
            ),
            COALESCE(LENGTH(CAST("Old" AS TEXT)) || ':' || CAST("Old" AS TEXT), '-')
          )
        )
      ) AS "_syncline_digest"
    FROM "temp"."main"."Account__20240203T040506-abc"
  )
  GROUP BY
    "_syncline_digest"
  HAVING
    COUNT(*) > 1
) AS "d"
  ON (
    "s"."_syncline_digest" = "d"."_syncline_digest"
  )
QUALIFY
  ROW_NUMBER() OVER (
    PARTITION BY "s"."_syncline_digest"
    ORDER BY "s"."SystemModstamp" DESC, "s"."_syncline_seq" DESC
  ) > 1;

-- fill an empty target
INSERT INTO "crm"."main"."Account" (
  "Id",
  "Na""me",
  "Amount",
  "SystemModstamp",
  "Doc",
  "Old",
  "_syncline_synced_at"
)
SELECT
  "s"."Id",
  "s"."Na""me",
  "s"."Amount",
  "s"."SystemModstamp",
  "s"."Doc",
  "s"."Old",
  CAST('2024-02-03 04:05:06.000789+00:00' AS TIMESTAMPTZ)
FROM (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
    CAST("Doc" AS JSON) AS "Doc",
    "Old" AS "Old",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone",
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
            '-'
          ),
          COALESCE(
            LENGTH(CAST(CAST("Doc" AS JSON) AS TEXT)) || ':' || CAST(CAST("Doc" AS JSON) AS TEXT),
            '-'
          ),
          COALESCE(LENGTH(CAST("Old" AS TEXT)) || ':' || CAST("Old" AS TEXT), '-')
        )
      )
    ) AS "_syncline_digest"
  FROM "temp"."main"."Account__20240203T040506-abc"
  WHERE
    NOT "_syncline_seq" IN (
      SELECT
        "seq"
      FROM "temp"."main"."Account__20240203T040506-abc__changes"
      WHERE
        "action" = 'superseded'
    )
) AS "s"
WHERE
  NOT "s"."_syncline_deleted";

-- count what is moot for it
SELECT
  COUNT(*)
FROM (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
    CAST("Doc" AS JSON) AS "Doc",
    "Old" AS "Old",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone",
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
            '-'
          ),
          COALESCE(
            LENGTH(CAST(CAST("Doc" AS JSON) AS TEXT)) || ':' || CAST(CAST("Doc" AS JSON) AS TEXT),
            '-'
          ),
          COALESCE(LENGTH(CAST("Old" AS TEXT)) || ':' || CAST("Old" AS TEXT), '-')
        )
      )
    ) AS "_syncline_digest"
  FROM "temp"."main"."Account__20240203T040506-abc"
  WHERE
    NOT "_syncline_seq" IN (
      SELECT
        "seq"
      FROM "temp"."main"."Account__20240203T040506-abc__changes"
      WHERE
        "action" = 'superseded'
    )
) AS "s"
WHERE
  "s"."_syncline_deleted";

-- classify
INSERT INTO "temp"."main"."Account__20240203T040506-abc__changes" (
  "seq",
  "target",
  "action"
)
SELECT
  "s"."_syncline_seq",
  "t"."rowid",
  CASE
    WHEN "t"."rowid" IS NULL AND "s"."_syncline_deleted"
    THEN 'moot'
    WHEN "t"."rowid" IS NULL
    THEN 'insert'
    WHEN NOT "t"."SystemModstamp" IS NULL
    AND (
      "s"."SystemModstamp" IS NULL OR "s"."SystemModstamp" < "t"."SystemModstamp"
    )
    THEN 'stale'
    WHEN "s"."_syncline_deleted"
    THEN 'delete'
    WHEN "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp"
    THEN 'update'
    ELSE 'unchanged'
  END
FROM (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
    CAST("Doc" AS JSON) AS "Doc",
    "Old" AS "Old",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone",
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
            '-'
          ),
          COALESCE(
            LENGTH(CAST(CAST("Doc" AS JSON) AS TEXT)) || ':' || CAST(CAST("Doc" AS JSON) AS TEXT),
            '-'
          ),
          COALESCE(LENGTH(CAST("Old" AS TEXT)) || ':' || CAST("Old" AS TEXT), '-')
        )
      )
    ) AS "_syncline_digest"
  FROM "temp"."main"."Account__20240203T040506-abc"
  WHERE
    NOT "_syncline_seq" IN (
      SELECT
        "seq"
      FROM "temp"."main"."Account__20240203T040506-abc__changes"
      WHERE
        "action" = 'superseded'
    )
) AS "s"
LEFT JOIN "crm"."main"."Account" AS "t"
  ON (
    "s"."_syncline_digest" = UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("t"."Id" AS TEXT)) || ':' || CAST("t"."Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("t"."Na""me" AS TEXT)) || ':' || CAST("t"."Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("t"."Amount" AS TEXT)) || ':' || CAST("t"."Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("t"."SystemModstamp" AS TEXT)) || ':' || CAST("t"."SystemModstamp" AS TEXT),
            '-'
          ),
          COALESCE(LENGTH(CAST("t"."Doc" AS TEXT)) || ':' || CAST("t"."Doc" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("t"."Old" AS TEXT)) || ':' || CAST("t"."Old" AS TEXT), '-')
        )
      )
    )
  );

-- count candidates
SELECT
  CAST(FLOOR("target" / 1000) AS BIGINT) AS "part",
  COUNT(*)
FROM "temp"."main"."Account__20240203T040506-abc__changes"
WHERE
  "action" = 'candidate'
GROUP BY
  "part"
ORDER BY
  "part" NULLS FIRST;

-- compare a range
INSERT INTO "temp"."main"."Account__20240203T040506-abc__changes" (
  "seq",
  "target",
  "action"
)
SELECT
  "c"."seq",
  "c"."target",
  'differs'
FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
JOIN (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
    CAST("Doc" AS JSON) AS "Doc",
    "Old" AS "Old",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone",
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
            '-'
          ),
          COALESCE(
            LENGTH(CAST(CAST("Doc" AS JSON) AS TEXT)) || ':' || CAST(CAST("Doc" AS JSON) AS TEXT),
            '-'
          ),
          COALESCE(LENGTH(CAST("Old" AS TEXT)) || ':' || CAST("Old" AS TEXT), '-')
        )
      )
    ) AS "_syncline_digest"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "s"
  ON "s"."_syncline_seq" = "c"."seq"
JOIN "crm"."main"."Account" AS "t"
  ON "t"."rowid" = "c"."target"
WHERE
  "c"."action" = 'candidate'
  AND "c"."target" BETWEEN 0 AND 999
  AND (
    "s"."Id" IS DISTINCT FROM "t"."Id"
    OR "s"."Na""me" IS DISTINCT FROM "t"."Na""me"
    OR "s"."Amount" IS DISTINCT FROM "t"."Amount"
    OR "s"."Doc" IS DISTINCT FROM "t"."Doc"
    OR "s"."Old" IS DISTINCT FROM "t"."Old"
  );

-- count changes
SELECT
  "action",
  COUNT(*)
FROM "temp"."main"."Account__20240203T040506-abc__changes"
GROUP BY
  "action"
ORDER BY
  "action" NULLS FIRST;

-- insert
INSERT INTO "crm"."main"."Account" (
  "Id",
  "Na""me",
  "Amount",
  "SystemModstamp",
  "Doc",
  "Old",
  "_syncline_synced_at"
)
SELECT
  "s"."Id",
  "s"."Na""me",
  "s"."Amount",
  "s"."SystemModstamp",
  "s"."Doc",
  "s"."Old",
  CAST('2024-02-03 04:05:06.000789+00:00' AS TIMESTAMPTZ)
FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
JOIN (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
    CAST("Doc" AS JSON) AS "Doc",
    "Old" AS "Old",
    "_syncline_deleted",
    "_syncline_seq",
    "_syncline_tombstone",
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("Id" AS TEXT)) || ':' || CAST("Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Na""me" AS TEXT)) || ':' || CAST("Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("Amount" AS TEXT)) || ':' || CAST("Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("SystemModstamp" AS TEXT)) || ':' || CAST("SystemModstamp" AS TEXT),
            '-'
          ),
          COALESCE(
            LENGTH(CAST(CAST("Doc" AS JSON) AS TEXT)) || ':' || CAST(CAST("Doc" AS JSON) AS TEXT),
            '-'
          ),
          COALESCE(LENGTH(CAST("Old" AS TEXT)) || ':' || CAST("Old" AS TEXT), '-')
        )
      )
    ) AS "_syncline_digest"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "s"
  ON "s"."_syncline_seq" = "c"."seq"
WHERE
  "c"."action" IN ('insert', 'update', 'differs');

-- delete
DELETE FROM "crm"."main"."Account"
WHERE
  "rowid" IN (
    SELECT
      "c"."target"
    FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
    WHERE
      "c"."action" IN ('update', 'differs', 'delete', 'mark', 'absent')
  );
