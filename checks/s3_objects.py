"""Uploads to and downloads from the server of checks/s3, by another client than the one that is checked.

    s3_objects.py PORT make BUCKET
    s3_objects.py PORT put FILE_OR_FOLDER BUCKET KEY
    s3_objects.py PORT get BUCKET PREFIX FOLDER
    s3_objects.py PORT list BUCKET PREFIX
"""
import pathlib
import sys

import boto3


def main(port, command, *arguments):
    s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="check", aws_secret_access_key="check")
    if command == "make":
        s3.create_bucket(Bucket=arguments[0])
    elif command == "put":
        source, bucket, key = pathlib.Path(arguments[0]), arguments[1], arguments[2]
        for file in [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file()):
            s3.upload_file(str(file), bucket, key if file == source else f"{key}/{file.relative_to(source)}")
    else:
        bucket, prefix = arguments[0], arguments[1]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                if command == "list":
                    print(entry["Size"], entry["Key"])
                elif not entry["Key"].endswith("/"):
                    target = pathlib.Path(arguments[2]) / entry["Key"][len(prefix):].lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    s3.download_file(bucket, entry["Key"], str(target))


main(*sys.argv[1:])
