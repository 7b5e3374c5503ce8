-- count
SELECT
  COUNT(*),
  COALESCE(SUM("d"."held"), 0),
  (
    SELECT
      COUNT(*)
    FROM "crm"."main"."Account" AS "t"
    WHERE
      TRUE
  )
FROM (
  SELECT
    COUNT(*) AS "held",
    "s"."Id",
    "s"."Na""me"
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
    WHERE
      NOT "_syncline_seq" IN (
        SELECT
          "seq"
        FROM "temp"."main"."Account__20240203T040506-abc__changes"
        WHERE
          "action" = 'superseded'
      )
  ) AS "s"
  JOIN "crm"."main"."Account" AS "t"
    ON (
      "s"."Id" = "t"."Id" AND "s"."Na""me" = "t"."Na""me"
    )
  WHERE
    TRUE
  GROUP BY
    "s"."Id",
    "s"."Na""me"
  HAVING
    COUNT(*) > 1
) AS "d";

-- remove
DELETE FROM "crm"."main"."Account"
WHERE
  ("Id", "Na""me") IN (
    SELECT
      "s"."Id",
      "s"."Na""me"
    FROM (
      SELECT
        COUNT(*) AS "held",
        "s"."Id",
        "s"."Na""me"
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
        WHERE
          NOT "_syncline_seq" IN (
            SELECT
              "seq"
            FROM "temp"."main"."Account__20240203T040506-abc__changes"
            WHERE
              "action" = 'superseded'
          )
      ) AS "s"
      JOIN "crm"."main"."Account" AS "t"
        ON (
          "s"."Id" = "t"."Id" AND "s"."Na""me" = "t"."Na""me"
        )
      WHERE
        TRUE
      GROUP BY
        "s"."Id",
        "s"."Na""me"
      HAVING
        COUNT(*) > 1
    ) AS "s"
  );
