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
    WHEN "s"."_syncline_deleted" AND FALSE
    THEN 'leaving'
    WHEN "s"."_syncline_deleted"
    THEN 'extra'
    WHEN "t"."rowid" IS NULL AND FALSE
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
  ) AS "s"
  WHERE
    (
      NOT "s"."_syncline_deleted" OR FALSE
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
  CASE WHEN FALSE THEN 'differs later' ELSE 'differs' END
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
  NULL AS "_syncline_at",
  COALESCE("s"."Id", "t"."Id") AS "Id",
  COALESCE("s"."Na""me", "t"."Na""me") AS "Na""me",
  COALESCE("s"."Amount", "t"."Amount") AS "Amount",
  CASE
    WHEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp") BETWEEN CAST('0001-01-02' AS TIMESTAMPTZ) AND CAST('9999-12-31' AS TIMESTAMPTZ)
    THEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp")
  END AS "SystemModstamp"
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

-- count at once
SELECT
  "action",
  COUNT(*)
FROM (
  SELECT
    CASE
      WHEN "t"."_syncline_place" IS NULL AND "s"."_syncline_deleted"
      THEN 'unknown'
      WHEN "s"."_syncline_deleted" AND FALSE
      THEN 'leaving'
      WHEN "s"."_syncline_deleted"
      THEN 'extra'
      WHEN "t"."_syncline_place" IS NULL AND FALSE
      THEN 'later'
      WHEN "t"."_syncline_place" IS NULL
      THEN 'missing'
      WHEN "s"."_syncline_seq" IS NULL
      THEN 'extra'
      WHEN "t"."_syncline_place" > 1 AND NOT "s"."_syncline_seq" IS NULL
      THEN 'double'
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
    WHERE
      (
        NOT "s"."_syncline_deleted" OR FALSE
      )
  ) AS "s"
  FULL JOIN (
    SELECT
      "t".*,
      ROW_NUMBER() OVER (
        PARTITION BY UNHEX(
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
        )
        ORDER BY "t"."Id" DESC
      ) AS "_syncline_place"
    FROM "crm"."main"."Account" AS "t"
    WHERE
      TRUE
  ) AS "t"
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
            )
          )
        )
      )
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
    ROW_NUMBER() OVER (
      PARTITION BY "j"."action"
      ORDER BY "j"."shown_1", "j"."shown_2", "j"."shown_3", "j"."shown_4"
    ) AS "place"
  FROM (
    SELECT
      CASE
        WHEN "t"."_syncline_place" IS NULL AND "s"."_syncline_deleted"
        THEN 'unknown'
        WHEN "s"."_syncline_deleted" AND FALSE
        THEN 'leaving'
        WHEN "s"."_syncline_deleted"
        THEN 'extra'
        WHEN "t"."_syncline_place" IS NULL AND FALSE
        THEN 'later'
        WHEN "t"."_syncline_place" IS NULL
        THEN 'missing'
        WHEN "s"."_syncline_seq" IS NULL
        THEN 'extra'
        WHEN "t"."_syncline_place" > 1 AND NOT "s"."_syncline_seq" IS NULL
        THEN 'double'
        ELSE 'unchanged'
      END AS "action",
      NULL AS "shown_0",
      COALESCE("s"."Id", "t"."Id") AS "shown_1",
      COALESCE("s"."Na""me", "t"."Na""me") AS "shown_2",
      COALESCE("s"."Amount", "t"."Amount") AS "shown_3",
      CASE
        WHEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp") BETWEEN CAST('0001-01-02' AS TIMESTAMPTZ) AND CAST('9999-12-31' AS TIMESTAMPTZ)
        THEN COALESCE("s"."SystemModstamp", "t"."SystemModstamp")
      END AS "shown_4"
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
      ) AS "s"
      WHERE
        (
          NOT "s"."_syncline_deleted" OR FALSE
        )
    ) AS "s"
    FULL JOIN (
      SELECT
        "t".*,
        ROW_NUMBER() OVER (
          PARTITION BY UNHEX(
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
          )
          ORDER BY "t"."Id" DESC
        ) AS "_syncline_place"
      FROM "crm"."main"."Account" AS "t"
      WHERE
        TRUE
    ) AS "t"
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
              )
            )
          )
        )
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
