"""What looks like personal data and is none, by kind: each text must stay whole."""

from tests.data.steps.pii_rows import rows

KEPT = {
    "email": rows("""
        user@example.com
        you@mail.example.org
        admin@localhost
        foo@bar.test
        git clone git@github.com:user/repo.git
        @app.route('/x') def f(): return A@B.T
        y = x @ w.to(device) + a@b.to(c)
        lodash@4.17.21 react@next
        npm i @types/node@18.0.1
        icon@2x.png
        ssh ada@server.foo.org
        scp x.txt ada@server.foo.org:/tmp
        rsync -a x root@host.org:~/
        https://ada@foo.org/x
        postgres://u:p@foo.org/x
        {{user}}@{{host}}.com
        a..b@foo.org
        Message-ID: <142480216486.20800.16526388040877946887@nightshade.la.foo.com>
        trailing.@foo.org
        @user@mastodon.social
        <EMAIL_1f3a>
        name@domain
        module@file.python
        matrix@vector.matmul(x)
        me@yourdomain.com
        email@email.com
        nutzer@beispiel.com
        utilisateur@domaine.fr
        usuario@ejemplo.es
        free+alloc-@libq.so
        meet (at) noon.
    """),
    "ip": rows("""
        version 1.2.3.4 of it
        pip install numpy==10.20.30.40
        Chrome/91.0.4472.124
        v20.11.1.17
        see section 10.12.13.14
        oid 1.3.6.1.4.1.311, 1.3.101.111 and 2.5.29.14
        as of 8.2.4.45 Markup declaration
        route 124.42.0.0/16 to 192.52.193.0/24
        1.1.1.1 8.8.8.8 9.9.9.9 8.8.4.4
        127.0.0.1 192.168.1.20 10.0.0.12
        198.51.100.7 203.0.113.9 192.0.2.146
        0.0.0.0 255.255.255.0 224.0.0.251
        ::1 fe80::1 2001:db8::17 a[2000::2] std::vector x[1::2]
        at 12:34:56 on 2024-01-15
        2001:4860:4860::8888
        Acrobat 11.0.23.22
        3.12.14.15 Definitions
        192.0.2.146/24
        999.888.777.666
        1.2.3.4.5.6
        125.125.125.125
        81.2.69.142.in-addr.arpa
        3fff:0:1::9
        16.2.12.4 and 16.4.0.1
        version 16.143.22.201
        upgrade to 19.140.33.120
        Foo 16.40.33.120
        "version": "81.40.33.120"
        2024:10:15:12
    """),
    "phone": rows("""
        Meet on the phone 2024-01-15 12:30 please
        on the phone 15.01.2024 12:30
        2024-01-15T12:34:56.123456+02:00
        ISBN 978-0-306-40615-7 and 0-306-40615-2 and 9780306406157
        x = 415736 * 2671; y[415:736:2671]
        415 736 2671
        1,234,567,890 1234567890 12345-6789 123-45-6789
        0x41573626 1e+14157362671 --1-415
        1 000 000 0000 and 100-200-3000
        #4157362671 id=4157362671
        E1-415-736-2671X
        (212) 555-0123
        +1234567890
        2 +44 2000 3000 400
        coll 262,128 z +6073641856.9
        Math. Monthly 77, 259-264 1970
        population of 172,487 (2014)
        20892-3655
        1294086751
        call 123 456 7890
        call me at 10 or 11 on 2024-05-06
        tel: 000000000
        phone 0123
        192-168-1000-2000
        1155968404_5361762127001
        PMID: 12345678, 23456789
        415-736-2671-99
        f(415,736,2671) = 1e10
        1-800-633-4227
        Fax: 8007729100
        Tel. 0800 123 9876
        +12345678900
        206-555-1111
        Phone: 555-1234
        01 02 03 04 05
        03 12 24 35 41
        Phone: 2015-2016
        Tel: 2024-05-06
        call number 0-306-40615-2
        1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 0-1
        +447700900149
    """),
    "card": rows("""
        4111 1111 1111 1112
        1234567890123456 0000000000000000 9999999999999995
        0.4111111111111111 4111111111111111111111
        x*4111111111111111
        4111111111111111*t
        4111111111111111 * t
        mpf((1, 4111111111111111, -53))
        4111-1111 1111-1111
        id-4111111111111111
        #4111111111111111
        /status/4111111111111111
        30569309025904
        4222222222222
        4006381333931
        9780306406157
        20240115123456
        1700000000000
        411111111111111
        4111 1111 1111
        4111 1111 1111 1111 1111 1111
        _4111111111111111
        4111111111111111e3
        6011 0000 0000 0000
        1 4111 1111 1111 1111
        4111111111111111.5
        order 4111 1111 1111 1111
        default_rng(378282246310005)
        paid by card, order 4123456789029
        cards in 2001 2002 2003 2004
        card updated 1700000000006
    """),
    "iban": rows("""
        DE88370400440532013000
        DE8937040044053201300
        DE893704004405320130001
        XX89370400440532013000
        de88370400440532013000
        DE89-3704 0044 0532 0130 00
        A DE89370400440532013000F
        GB29NWBK60161331926818
        D41D8CD98F00B204E9800998ECF8427E
        DA39A3EE5E6B4B0D3255BFEF95601890AFD80709
        DE89
        SE00 0000 0000
        PO12 3456 7890 1234
        NO93 8601 1117 948
        LT-1234-5678-9012
        /DE89370400440532013000
        DE89370400440532013000=
        IT60X0542811101000000123457
        AB12CD34EF56GH78IJ90
        NL91ABNA0417164301
        ISO 13616-1:2020 and EN 301 549
    """),
    "ssn": rows("""
        123-45-6789
        078-05-1120
        111-22-3333
        000-12-3456
        666-12-3456
        901-12-3456
        219-00-1234
        219-09-0000
        219 09 1234
        219091234
        part 219-09-1234
        No. 219-09-1234
        500-20-1000 = -520
        = 500-20-1000
        <<500-20-1000=-520>>
        219-09-12345
        1219-09-1234
        219-09-1234-5
        2024-01-15
        7732-18-5
        12345-6789
        order #219-09-1234
        219-09 1234
        SSN 457-55-5462
        SSN: 078051120
    """),
    "mac": rows("""
        00:11:22:33:44:55
        aa:bb:cc:dd:ee:ff
        AA-BB-CC-DD-EE-FF
        12:34:56:78:9a:bc
        ff:ff:ff:ff:ff:ff
        00:00:00:00:00:00
        01:00:5e:00:00:fb
        33:33:00:00:00:01
        00:00:5E:00:53:1a
        10:20:30:40:50:60
        12:30:45
        52:54:00:9d:0e
        52:54:00:9d:0e:67:89
        52:54-00:9d:0e:67
        52:54:00:9d:0e:6g
        SHA1 52:54:00:9d:0e:67:52:54:00:9d:0e:67:52:54:00:9d:0e:67:aa:bb
        3c22.4444.9100
        2001:db8:52:54:0:9d
        deadbeef-dead-beef
        de:ad:be:ef:00:01
        x[1:2:3:4:5:6]
        152:54:00:9d:0e:67
        be:ad:ed:de:ca:fe
    """),
    "crypto": rows("""
        1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb
        3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLz
        bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5
        bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4
        tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx
        0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed
        sha1 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed
        0x0000000000000000000000000000000000000000
        wallet 0x000000000000000000000000000000000000dead
        0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedff
        0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe
        5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
        da39a3ee5e6b4b0d3255bfef95601890afd80709
        1111111111111111111111111111111111
        3141592653589793238462643383279
        a1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa
        /1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa/
        1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa==
        bc1
        QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPBdG
        commit 1f3a5b7c9d0e2f4a6b8c0d1e3f5a7b9c1d3e5f70
    """),
    "url_credentials": rows("""
        https://foo.org/a:b@c
        http://user:pass@host
        http://user:password@host/x
        postgres://postgres:postgres@localhost/db
        postgresql://scott:tiger@localhost/test
        https://${USER}:${PASS}@foo.org
        https://{user}:{password}@foo.org
        https://<user>:<password>@foo.org
        https://foo.org:8080/x@y
        https://ada@foo.org/x
        ssh://git@github.com:22/x
        https://foo.org/?q=a:b@c
        https://foo.org/#a:b@c
        redis://:secret@localhost
        amqp://guest:guest@rabbit
        mongodb://root:example@db
        https://username:your_password@foo.org
        mysql://user:xxxxx@db
        github://org:repo@sha/x
        scheme://user:***@host
        a://b:$PASSWORD@c
        see user:s3cr3tQ9@host
        ftp://nutzer:kennwort@host/x
        ssh://687fb701029421ae5549d998@ssh.foo.org
    """),
}
