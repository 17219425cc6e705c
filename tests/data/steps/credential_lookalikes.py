"""What looks like a credential and is none, by kind: each text must stay whole."""


def rows(texts: str) -> list[str]:
    return [line.strip() for line in texts.strip().splitlines()]


ANY = rows("""
    da39a3ee5e6b4b0d3255bfef95601890afd80709
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==
    commit 1f3a5b7c9d0e2f4a6b8c0d1e3f5a7b9c1d3e5f70
    data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk
    123e4567-e89b-12d3-a456-426614174000
    -----BEGIN PUBLIC KEY-----
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me
    The token is kept secret; the password is not.
    sk-learn and sk-image, hf_hub_download, npm_config_registry, pypi-server, xoxo
    """)
"""Held against every kind."""

KEPT = {
    "aws": rows("""
        aws_secret_access_key = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        aws_secret_access_key = <your secret key>
        aws_secret_access_key = ${AWS_SECRET}
        "aws:secretsmanager", "Sid": "AllowEc2InstancesWithEncryptedEbsVolumes"
        "aws:kms:key", "Sid":"KmsS3EncryptionOperationsServerMigration"
        arn:aws:iam::123456789012:user/ada
        AKIA and ASIA begin key ids
    """),
    "azure": rows("""
        AccountKey=<key>;
        AccountKey=...;EndpointSuffix=core.windows.net
        AccountKey=${KEY}==
        account_key = os.environ["ACCOUNT_KEY"]
        sig=abc
        ?sv=2020-08-04&sig=<signature>
        SharedAccessKey=your_key
        AccountKey: str
        SharedAccessKeyName=RootManageSharedAccessKey
        account_key=None
        storage_key = get_key()
    """),
    "twilio": rows("""
        TWILIO_AUTH_TOKEN="your_auth_token"
        auth_token = os.environ["TWILIO_AUTH_TOKEN"]
        md5 d41d8cd98f00b204e9800998ecf8427e
    """),
    "jwt": rows("""
        eyJ
        eyJhbGciOi...
        eyJub3QtanNvbg.aaaa.bbbb
        eyJmb28iOiJiYXIifQ.eyJmb28iOiJiYXIifQ.c2ln
        header.payload.signature
        <header>.<payload>.<signature>
        eyJhbGciOiJIUzI1NiJ9
        xeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc
    """),
    "private_key": rows("""
        -----BEGIN CERTIFICATE-----
        -----BEGIN PRIVATE KEY----- ... -----END PRIVATE KEY-----
        -----BEGIN RSA PRIVATE KEY-----\\n<your key>\\n-----END RSA PRIVATE KEY-----
        -----BEGIN RSA PRIVATE KEY-----
        starts with "-----BEGIN PRIVATE KEY-----" and ends with "-----END PRIVATE KEY-----"
        the private key is in id_rsa
        private key: see below
        -----BEGIN PGP PUBLIC KEY BLOCK-----
        src/utils/UserToken2/App3View4Model5Ctrl6
        -----END PRIVATE KEY-----
    """),
    "connection_string": rows("""
        postgres://user:password@localhost/db
        postgres://postgres:postgres@db/x
        mysql+pymysql://scott:tiger@localhost/x
        postgres://${USER}:${PASS}@host
        postgres://{user}:{password}@{host}
        postgres://<user>:<password>@<host>
        mongodb://localhost:27017/x@y
        redis://localhost:6379/0
        amqp://guest:guest@localhost
        postgres://user:secret@host/db
        mongodb://root:example@mongo
        postgres://user:xxxxx@host
        mysql://user:***@host
        http://foo.org:8080/@x
        github://org:repo@sha
        ssh://git@github.com:22/a
        Server=db;User Id=ada;Password=<password>;
        Server=db;Password=mypassword;
        Server=db;Password={0};
        a;password=your_password;
        ftp://nutzer:kennwort@host/x
        ssh://687fb701029421ae5549d998@ssh.foo.org
    """),
    "http_auth": rows("""
        Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==
        Authorization: Basic dXNlcjpwYXNzd29yZA==
        Authorization: Basic <credentials>
        Authorization: Basic YWJjZGVmZ2hpamtsbW5vcA==
        Authorization: Bearer <token>
        Authorization: Bearer $TOKEN
        Authorization: Bearer ${TOKEN}
        Authorization: Bearer YOUR_ACCESS_TOKEN
        Authorization: Bearer {token}
        Authorization: Bearer xxxxxxxxxxxxxxxxxxxxxxxx
        "Authorization": f"Bearer {self.token}"
        "Authorization": "Bearer " + token
        Authorization: Bearer mF_9.B5f
        Authorization: Bearer access-token-goes-here
        Authorization: Digest username="Mufasa"
        Authorization: AWS4-HMAC-SHA256 Credential=x
        X-Api-Key: your-api-key
        X-Api-Key: <api key>
        basic training and bearer bonds
        the bearer of 1234567890abcdef123 tokens
        WWW-Authenticate: Basic realm="x"
    """),
    "assignment": rows("""
        password = "changeme"
        password = "password123"
        password = "<password>"
        password = "xxxxxxxxxxxx"
        password = "${DB_PASSWORD}"
        password = os.environ["DB_PASSWORD"]
        password = getpass.getpass()
        password = "P@55w0rd!"
        password: str = ""
        password = "hunter2hunter2"
        PASSWORD_RESET_URL = "/accounts/reset/a1b2c3d4e5f6"
        token = "access_token"
        token_type = "urn:ietf:params:oauth:token-type:jwt9a8b7c"
        secret_name = "prod/db/a1b2c3d4e5f6g7h8"
        api_key = "YOUR_API_KEY"
        api_key = "test-api-key-1234"
        public_key = "a1b2c3d4e5f6g7h8i9j0k1l2m3"
        "secretsmanager": "fee5173a-3972-428e-ae73-cd4c2a371222"
        "tokens": "a1b2c3d4e5f6g7h8i9j0k1l2"
        self.embed_tokens = Gemma4UnifiedTextScaledWordEmbedding(
        password: Annotated[
        eos_token = "<|endoftext|>"
        pad_token: [PAD]
        bos_token = "<s>"
        Password: must have eight characters
        secret_key = Base64.decode(value)
        token = "arn:aws:sns:us-east-1:123456789012:a1b2c3"
        key = "a1b2c3d4e5f6g7h8i9j0"
        primary_key = "a1b2c3d4e5f6g7h8i9j0"
        api_key = "{{ secrets.API_KEY_1_2_3_4 }}"
        token = AWS::Lambda::Layer2Token9
        "UpdateToken": "1a2b3c4d5e6f7g8h9i0j1k2l"
        "PolicyUpdateToken": "1a2b3c4d5e6f7g8h9i0j1k2l"
        secret: arn:aws:secretsmanager:us-east-1:123456789012:secret:MyS3cr3t-a1b2c3
        "device_key": "us-west-2_d8f3a1b2-c3d4-e5f6-a7b8-c9d0e1f2a3b4"
        Next page token: eav1OzQB0OM8rLdGXOEsyQWSG
        token2wav_config = Qwen2_5OmniToken2WavConfig()
        "token2wav_config": Qwen2_5OmniToken2WavConfig,
        ("qwen_token2wav", "Qwen2_5OmniToken2WavConfig"),
        would leak app_secret/access_token (CWE-532/CWE-209/CWE-200).
        ForwardPass(buffer_id=0), BackwardPass(buffer_id=0),
        pass_dict=B2B_GEMM_PASS,
    """),
    "vendor": rows("""
        key-value stores and key-0123
        shpat_example
        hvs.your-token-here
        sq0atp-
        dop_v1_<token>
        the lin_api is linear
        gsk_XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX
        12:34:56:AA
        pul-request
        age-secret-key-1
    """),
    "password_hash": rows("""
        $1 and $6 are prices; $2y$10$ begins a hash
        $1$salt$hash
        $6$rounds=5000$salt$...
        costs $5$ or $6$ more
        {SHA} and {SSHA} name schemes
        pbkdf2_sha256$ begins Django's
        $argon2id$v=19$m=65536,t=2,p=1$<salt>$<hash>
        echo $1$2$3
        ${SHA256}
        awk '{print $1"$"$2}'
        root:x:0:0:root:/root:/bin/bash
        nobody:*:99:99::/:
        nobody:!:19000:0:99999:7:::
        $P$ and $H$ are phpass
    """),
    "login_file": rows("""
        machine api.foo.org login user password secret
        machine HOST login NAME password PASSWORD
        the login and password fields
        enter login name and password here
        hostname:port:database:username:password
        localhost:5432:db:user:password
        main.c:1234:error:x:unused
        "auth": "dXNlcjpwYXNzd29yZA=="
        "auth": "none"
        "auth": {"type": "basic"}
        //registry.npmjs.org/:_authToken=${NPM_TOKEN}
        _authToken=your-token
        kind: Secret
        password required
        password hashing-algorithm
        password: required
        user lena with password authentication
        username and password are case-sensitive
        10:30:45:12:56
    """),
    "command": rows("""
        mysql -u root -p orders
        mysql --port=3306 -h db
        mysql -u root -p$MYSQL_PASSWORD
        mysqldump -u root -p"$PW" db
        curl -u user:password https://x.org
        curl -u "$USER:$PASS" https://x.org
        curl -u username https://x.org
        curl -H 'Accept: application/json' https://x.org:8080
        sshpass -p password ssh h
        sshpass -f file.txt ssh h
        sshpass -p "$SSHPASS" ssh h
        docker run -p 8080:80 nginx1
        docker login -u user --password-stdin
        mkdir -p a1/b2/c3
        tool --password-file=/run/secrets/pw1
        tool --password <password>
        tool --password PASSWORD
        tool --token ${TOKEN}
        tool --pass-through --passive 12345678
        echo "Hello World1" | sudo tee x
        redis-cli -a yourpassword
        unzip -P password x.zip
        ssh -p 2222 host
        http :8000/login -a admin:admin
        nmap -p 1-65535 host
        mysql -pPASSWORD
        tool --device-key us-west-2_abcd_1234-5678
        tool --update-token 1:PolicyUpdateToken:ab12-cd34-ef56-7890ab
    """),
}
