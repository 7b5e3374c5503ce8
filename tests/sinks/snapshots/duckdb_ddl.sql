-- every type
CREATE TABLE IF NOT EXISTS "crm"."main"."Account" (
  "c0" BOOLEAN,
  "c1" BIGINT,
  "c2" DOUBLE,
  "c3" TEXT,
  "c4" BLOB,
  "c5" DATE,
  "c6" TIME,
  "c7" TIMESTAMP,
  "c8" TIMESTAMPTZ,
  "c9" JSON,
  "d" DECIMAL(38, 10),
  "l" DECIMAL(5, 1)[],
  "_syncline_synced_at" TIMESTAMPTZ
);

-- with marks
CREATE TABLE IF NOT EXISTS "crm"."main"."Account" (
  "Id" TEXT,
  "Na""me" TEXT,
  "Amount" DECIMAL(18, 2),
  "SystemModstamp" TIMESTAMPTZ,
  "_syncline_synced_at" TIMESTAMPTZ,
  "_syncline_deleted_at" TIMESTAMPTZ
);

-- widened, with new columns
ALTER TABLE "crm"."main"."Account"
ADD COLUMN IF NOT EXISTS "Na""me" TEXT;

-- widened, with new columns
ALTER TABLE "crm"."main"."Account"
ALTER COLUMN "Amount" SET DATA TYPE DECIMAL(21, 2);

-- widened, with new columns
ALTER TABLE "crm"."main"."Account"
ADD COLUMN IF NOT EXISTS "SystemModstamp" TIMESTAMPTZ;

-- widened, with new columns
ALTER TABLE "crm"."main"."Account"
ADD COLUMN IF NOT EXISTS "_syncline_deleted_at" TIMESTAMPTZ;
