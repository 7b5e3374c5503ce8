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
    ELSE 'candidate'
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
      "_syncline_tombstone"
    FROM "temp"."main"."Account__20240203T040506-abc"
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
    "t"."Id" AS "Id"
  FROM "crm"."main"."Account" AS "t"
  WHERE
    (
      "t"."_syncline_deleted_at" IS NULL
    )
) AS "t"
  ON (
    "s"."Id" = "t"."Id"
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
    "_syncline_tombstone"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "s"
  ON "s"."_syncline_seq" = "c"."seq"
JOIN "crm"."main"."Account" AS "t"
  ON "t"."rowid" = "c"."target"
WHERE
  "c"."action" = 'candidate'
  AND "c"."target" BETWEEN 0 AND 999
  AND (
    "s"."Na""me" IS DISTINCT FROM "t"."Na""me"
    OR "s"."Amount" IS DISTINCT FROM "t"."Amount"
    OR "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp"
  );

-- examples
SELECT
  "c"."action",
  COALESCE("s"."Id", "t"."Id") AS "Id",
  "s"."Na""me" IS DISTINCT FROM "t"."Na""me" AS "Na""me",
  "s"."Amount" IS DISTINCT FROM "t"."Amount" AS "Amount",
  "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp" AS "SystemModstamp"
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
    "_syncline_tombstone"
  FROM "temp"."main"."Account__20240203T040506-abc"
) AS "s"
  ON "s"."_syncline_seq" = "c"."seq"
LEFT JOIN "crm"."main"."Account" AS "t"
  ON "t"."rowid" = "c"."target"
ORDER BY
  "c"."action" NULLS FIRST,
  "c"."seq" NULLS FIRST,
  "c"."target" NULLS FIRST;
