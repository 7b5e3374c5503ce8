-- pair
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
    THEN 'unknown'
    WHEN "s"."_syncline_deleted"
    THEN 'leaving'
    WHEN "t"."rowid" IS NULL
    AND "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
    THEN 'later'
    WHEN "t"."rowid" IS NULL
    THEN 'missing'
    WHEN "s"."_syncline_seq" IS NULL
    THEN 'extra'
    ELSE 'unchanged'
  END
FROM (
  SELECT
    *
  FROM (
    SELECT
      "Id",
      "Na""me",
      "Amount",
      "SystemModstamp",
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
            )
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
    NOT "s"."_syncline_deleted"
    OR (
      "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
    )
) AS "s"
FULL JOIN (
  SELECT
    "t"."rowid",
    UNHEX(
      SHA256(
        CONCAT(
          COALESCE(LENGTH(CAST("t"."Id" AS TEXT)) || ':' || CAST("t"."Id" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("t"."Na""me" AS TEXT)) || ':' || CAST("t"."Na""me" AS TEXT), '-'),
          COALESCE(LENGTH(CAST("t"."Amount" AS TEXT)) || ':' || CAST("t"."Amount" AS TEXT), '-'),
          COALESCE(
            LENGTH(CAST("t"."SystemModstamp" AS TEXT)) || ':' || CAST("t"."SystemModstamp" AS TEXT),
            '-'
          )
        )
      )
    ) AS "_syncline_digest"
  FROM "crm"."main"."Account" AS "t"
  WHERE
    TRUE
) AS "t"
  ON (
    "s"."_syncline_digest" = "t"."_syncline_digest"
  );

-- compare a range
INSERT INTO "temp"."main"."Account__20240203T040506-abc__changes" (
  "seq",
  "target",
  "action"
)
SELECT
  "c"."seq",
  "c"."target",
  CASE
    WHEN "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
    THEN 'differs later'
    ELSE 'differs'
  END
FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
JOIN (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
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
          )
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
    OR "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp"
  );

-- examples
SELECT
  "c"."action",
  COALESCE("s"."Id", "t"."Id") AS "Id",
  COALESCE("s"."Na""me", "t"."Na""me") AS "Na""me",
  COALESCE("s"."Amount", "t"."Amount") AS "Amount",
  COALESCE("s"."SystemModstamp", "t"."SystemModstamp") AS "SystemModstamp"
FROM (
  SELECT
    "seq",
    "target",
    "action"
  FROM "temp"."main"."Account__20240203T040506-abc__changes"
  WHERE
    "action" IN ('differs', 'extra', 'missing')
  ORDER BY
    "action" NULLS FIRST,
    "seq" NULLS FIRST,
    "target" NULLS FIRST
  LIMIT 20
) AS "c"
LEFT JOIN (
  SELECT
    "Id",
    "Na""me",
    "Amount",
    "SystemModstamp",
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
          )
        )
      )
    ) AS "_syncline_digest"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "s"
  ON "s"."_syncline_seq" = "c"."seq"
LEFT JOIN "crm"."main"."Account" AS "t"
  ON "t"."rowid" = "c"."target"
ORDER BY
  "c"."action" NULLS FIRST,
  "c"."seq" NULLS FIRST,
  "c"."target" NULLS FIRST;
