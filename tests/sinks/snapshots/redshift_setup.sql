-- a password
-- 1. Redshift: a user and its schemas (as a superuser, in the database dev)
CREATE USER "syncline" PASSWORD '<8 to 64 characters, capital and small letters and a digit>';
CREATE SCHEMA IF NOT EXISTS "crm";
CREATE SCHEMA IF NOT EXISTS "crm_staging";
GRANT USAGE, CREATE ON SCHEMA "crm" TO "syncline";
GRANT USAGE, CREATE ON SCHEMA "crm_staging" TO "syncline";

-- 2. Redshift: only where REVOKE ASSUMEROLE ON ALL FROM PUBLIC was run
GRANT ASSUMEROLE ON 'arn:aws:iam::123456789012:role/copy' TO "syncline" FOR COPY;

-- 3. AWS: the role that COPY reads the landing as, attached to the cluster: this policy, and this trust
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "s3:GetObject",
      "Resource": "arn:aws:s3:::acme-landing/crm/*"
    },
    {
      "Effect": "Allow",
      "Action": [
        "s3:ListBucket",
        "s3:GetBucketLocation"
      ],
      "Resource": "arn:aws:s3:::acme-landing"
    },
    {
      "Effect": "Allow",
      "Action": "kms:Decrypt",
      "Resource": "arn:aws:kms:eu-central-1:123456789012:key/1"
    }
  ]
}
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "Service": [
          "redshift.amazonaws.com",
          "redshift-serverless.amazonaws.com"
        ]
      },
      "Action": "sts:AssumeRole"
    }
  ]
}
;

-- IAM, a cluster
-- 1. Redshift: a user and its schemas (as a superuser, in the database dev)
CREATE USER "syncline" PASSWORD DISABLE;
CREATE SCHEMA IF NOT EXISTS "crm";
CREATE SCHEMA IF NOT EXISTS "crm_staging";
GRANT USAGE, CREATE ON SCHEMA "crm" TO "syncline";
GRANT USAGE, CREATE ON SCHEMA "crm_staging" TO "syncline";

-- 2. Redshift: only where REVOKE ASSUMEROLE ON ALL FROM PUBLIC was run
GRANT ASSUMEROLE ON default TO "syncline" FOR COPY;

-- 3. AWS: the role that COPY reads the landing as, attached to the cluster: this policy, and this trust
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "s3:GetObject",
      "Resource": "arn:aws:s3:::acme-landing/crm/*"
    },
    {
      "Effect": "Allow",
      "Action": [
        "s3:ListBucket",
        "s3:GetBucketLocation"
      ],
      "Resource": "arn:aws:s3:::acme-landing"
    },
    {
      "Effect": "Allow",
      "Action": "kms:Decrypt",
      "Resource": "arn:aws:kms:eu-central-1:123456789012:key/1"
    }
  ]
}
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {
        "Service": [
          "redshift.amazonaws.com",
          "redshift-serverless.amazonaws.com"
        ]
      },
      "Action": "sts:AssumeRole"
    }
  ]
}

-- 4. AWS: what the identity of this machine may do, to sign in
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "redshift:GetClusterCredentials",
      "Resource": [
        "arn:aws:redshift:eu-central-1:<AWS account>:dbuser:crm/syncline",
        "arn:aws:redshift:eu-central-1:<AWS account>:dbname:crm/dev"
      ]
    },
    {
      "Effect": "Allow",
      "Action": "redshift:DescribeClusters",
      "Resource": [
        "arn:aws:redshift:eu-central-1:<AWS account>:cluster:crm"
      ]
    }
  ]
}
;

-- IAM, serverless, no bucket yet
-- 1. Redshift: a user and its schemas (as a superuser, in the database dev)
CREATE USER "IAMR:<the machine's role>" PASSWORD DISABLE;
CREATE SCHEMA IF NOT EXISTS "crm";
CREATE SCHEMA IF NOT EXISTS "crm_staging";
GRANT USAGE, CREATE ON SCHEMA "crm" TO "IAMR:<the machine's role>";
GRANT USAGE, CREATE ON SCHEMA "crm_staging" TO "IAMR:<the machine's role>";

-- 2. Redshift: only where REVOKE ASSUMEROLE ON ALL FROM PUBLIC was run
GRANT ASSUMEROLE ON default TO "IAMR:<the machine's role>" FOR COPY;

-- 3. AWS: the role that COPY reads the landing as, attached to the cluster: this policy, and this trust
-- give the pipeline a landing in S3 first: Redshift loads files from nowhere else

-- 4. AWS: what the identity of this machine may do, to sign in
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": [
        "redshift-serverless:GetCredentials"
      ],
      "Resource": "arn:aws:redshift-serverless:eu-central-1:<AWS account>:workgroup/<id of crm>"
    }
  ]
}
;
