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
    WHEN COALESCE(
      (
        "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
      ),
      FALSE
    )
    THEN 'differs later'
    WHEN NOT "s"."SystemModstamp" IS NULL
    AND (
      "s"."SystemModstamp" > "t"."SystemModstamp" OR "t"."SystemModstamp" IS NULL
    )
    THEN 'stale'
    ELSE 'differs'
  END
FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
JOIN (
  SELECT
    "Id",
    "Na""me",
    CAST("Amount" AS DECIMAL(21, 2)) AS "Amount",
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
    "s"."Na""me" IS DISTINCT FROM CAST(NULL AS TEXT)
    OR "s"."Amount" IS DISTINCT FROM CAST("t"."Amount" AS DECIMAL(21, 2))
    OR "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp"
  );
