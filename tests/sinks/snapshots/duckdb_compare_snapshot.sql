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
    AND COALESCE(
      (
        "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
      ),
      FALSE
    )
    THEN 'leaving'
    WHEN "s"."_syncline_deleted"
    THEN 'extra'
    WHEN "t"."rowid" IS NULL
    AND COALESCE(
      (
        "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
      ),
      FALSE
    )
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
    (
      NOT "s"."_syncline_deleted"
      OR COALESCE(
        (
          "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
        ),
        FALSE
      )
    )
) AS "s"
FULL JOIN (
  SELECT
    "t"."rowid",
    "t"."Id" AS "Id"
  FROM "crm"."main"."Account" AS "t"
  WHERE
    TRUE
) AS "t"
  ON (
    "s"."Id" = "t"."Id"
  );

-- doubles
INSERT INTO "temp"."main"."Account__20240203T040506-abc__changes" (
  "seq",
  "target",
  "action"
)
SELECT
  NULL,
  "c"."target",
  'double'
FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
JOIN (
  SELECT
    "c"."seq" AS "seq",
    MIN("c"."target") AS "kept"
  FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
  WHERE
    NOT "c"."seq" IS NULL AND NOT "c"."target" IS NULL
  GROUP BY
    "c"."seq"
  HAVING
    COUNT(*) > 1
) AS "d"
  ON "c"."seq" = "d"."seq"
WHERE
  "c"."target" <> "d"."kept";

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
  CASE
    WHEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp") BETWEEN CAST('0001-01-02' AS TIMESTAMPTZ) AND CAST('9999-12-31' AS TIMESTAMPTZ)
    THEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp")
  END AS "_syncline_at",
  COALESCE("s"."Id", "t"."Id") AS "Id",
  "s"."Na""me" IS DISTINCT FROM "t"."Na""me" AS "differs_0",
  "s"."Amount" IS DISTINCT FROM "t"."Amount" AS "differs_1",
  "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp" AS "differs_2"
FROM (
  SELECT
    "c"."seq" AS "seq",
    "c"."target" AS "target",
    "c"."action" AS "action"
  FROM "temp"."main"."Account__20240203T040506-abc__changes" AS "c"
  WHERE
    "c"."action" IN ('differs', 'double', 'extra', 'missing', 'stale')
  QUALIFY
    ROW_NUMBER() OVER (
      PARTITION BY "c"."action"
      ORDER BY "c"."seq" NULLS FIRST, "c"."target" NULLS FIRST
    ) <= 20
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

-- count at once
SELECT
  "action",
  COUNT(*)
FROM (
  SELECT
    CASE
      WHEN "t"."_syncline_place" IS NULL AND "s"."_syncline_deleted"
      THEN 'unknown'
      WHEN "s"."_syncline_deleted"
      AND COALESCE(
        (
          "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
        ),
        FALSE
      )
      THEN 'leaving'
      WHEN "s"."_syncline_deleted"
      THEN 'extra'
      WHEN "t"."_syncline_place" IS NULL
      AND COALESCE(
        (
          "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
        ),
        FALSE
      )
      THEN 'later'
      WHEN "t"."_syncline_place" IS NULL
      THEN 'missing'
      WHEN "s"."_syncline_seq" IS NULL
      THEN 'extra'
      WHEN "t"."_syncline_place" > 1 AND NOT "s"."_syncline_seq" IS NULL
      THEN 'double'
      WHEN "s"."Na""me" IS DISTINCT FROM "t"."Na""me"
      OR "s"."Amount" IS DISTINCT FROM "t"."Amount"
      OR "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp"
      THEN CASE
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
      ELSE 'unchanged'
    END AS "action"
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
      (
        NOT "s"."_syncline_deleted"
        OR COALESCE(
          (
            "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
          ),
          FALSE
        )
      )
  ) AS "s"
  FULL JOIN (
    SELECT
      "t".*,
      ROW_NUMBER() OVER (PARTITION BY "t"."Id" ORDER BY "t"."SystemModstamp" DESC) AS "_syncline_place"
    FROM "crm"."main"."Account" AS "t"
    WHERE
      TRUE
  ) AS "t"
    ON (
      "s"."Id" = "t"."Id"
    )
) AS "j"
GROUP BY
  "action"
ORDER BY
  "action" NULLS FIRST;

-- examples at once
SELECT
  "n"."action",
  "n"."shown_0",
  "n"."shown_1",
  "n"."shown_2",
  "n"."shown_3",
  "n"."shown_4"
FROM (
  SELECT
    "j".*,
    ROW_NUMBER() OVER (PARTITION BY "j"."action" ORDER BY "j"."shown_1") AS "place"
  FROM (
    SELECT
      CASE
        WHEN "t"."_syncline_place" IS NULL AND "s"."_syncline_deleted"
        THEN 'unknown'
        WHEN "s"."_syncline_deleted"
        AND COALESCE(
          (
            "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
          ),
          FALSE
        )
        THEN 'leaving'
        WHEN "s"."_syncline_deleted"
        THEN 'extra'
        WHEN "t"."_syncline_place" IS NULL
        AND COALESCE(
          (
            "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
          ),
          FALSE
        )
        THEN 'later'
        WHEN "t"."_syncline_place" IS NULL
        THEN 'missing'
        WHEN "s"."_syncline_seq" IS NULL
        THEN 'extra'
        WHEN "t"."_syncline_place" > 1 AND NOT "s"."_syncline_seq" IS NULL
        THEN 'double'
        WHEN "s"."Na""me" IS DISTINCT FROM "t"."Na""me"
        OR "s"."Amount" IS DISTINCT FROM "t"."Amount"
        OR "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp"
        THEN CASE
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
        ELSE 'unchanged'
      END AS "action",
      CASE
        WHEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp") BETWEEN CAST('0001-01-02' AS TIMESTAMPTZ) AND CAST('9999-12-31' AS TIMESTAMPTZ)
        THEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp")
      END AS "shown_0",
      COALESCE("s"."Id", "t"."Id") AS "shown_1",
      "s"."Na""me" IS DISTINCT FROM "t"."Na""me" AS "shown_2",
      "s"."Amount" IS DISTINCT FROM "t"."Amount" AS "shown_3",
      "s"."SystemModstamp" IS DISTINCT FROM "t"."SystemModstamp" AS "shown_4"
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
        (
          NOT "s"."_syncline_deleted"
          OR COALESCE(
            (
              "s"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
            ),
            FALSE
          )
        )
    ) AS "s"
    FULL JOIN (
      SELECT
        "t".*,
        ROW_NUMBER() OVER (PARTITION BY "t"."Id" ORDER BY "t"."SystemModstamp" DESC) AS "_syncline_place"
      FROM "crm"."main"."Account" AS "t"
      WHERE
        TRUE
    ) AS "t"
      ON (
        "s"."Id" = "t"."Id"
      )
  ) AS "j"
  WHERE
    "j"."action" IN ('differs', 'double', 'extra', 'missing', 'stale')
) AS "n"
WHERE
  "n"."place" <= 20
ORDER BY
  "n"."action" NULLS FIRST,
  "n"."place" NULLS FIRST;

-- tally
SELECT
  "part",
  COUNT(*),
  MIN("at"),
  MAX("at")
FROM (
  SELECT
    CASE
      WHEN "t"."SystemModstamp" >= CAST('2024-01-01 00:01:00.000000+00:00' AS TIMESTAMPTZ)
      THEN 2
      WHEN "t"."SystemModstamp" >= CAST('2024-01-01 00:00:30.000000+00:00' AS TIMESTAMPTZ)
      THEN 1
      ELSE 0
    END AS "part",
    CASE
      WHEN "t"."SystemModstamp" BETWEEN CAST('0001-01-02' AS TIMESTAMPTZ) AND CAST('9999-12-31' AS TIMESTAMPTZ)
      THEN "t"."SystemModstamp"
    END AS "at"
  FROM "crm"."main"."Account" AS "t"
  WHERE
    TRUE
    AND NOT EXISTS(
      SELECT
        1
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
        (
          "s"."Id" = "t"."Id"
        )
    )
) AS "counted"
GROUP BY
  "part"
ORDER BY
  "part" NULLS FIRST;
