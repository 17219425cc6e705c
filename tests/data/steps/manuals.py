"""Lines of manuals in many languages, as full of code, elisions and marks as manuals are."""

MANUALS = {
    "fr": [
        (
            "L'utilisateur n'est pas d'accord : il dit qu'il n'a pas l'habitude d'attendre l'"
            "autobus jusqu'\xe0 l'arriv\xe9e."
        ),
        (
            "Afficher l'aide : `prog --help` ; lancer l'outil : `prog run` ; arr\xeater l'out"
            "il : `prog stop`"
        ),
        (
            "Pour installer l'outil, ex\xe9cutez `pip install outil` puis `outil init --force"
            "` ; l'option -v n'affiche rien d'autre qu'un r\xe9sum\xe9."
        ),
        (
            "Affiche l\u2019\xe9tat d\u2019un d\xe9p\xf4t : `git status` - n\u2019oubliez pas"
            " d\u2019ajouter l\u2019option `--short` > sinon l\u2019affichage s\u2019\xe9tend"
            " sur plusieurs pages."
        ),
    ],
    "de": [
        (
            "Das Android-Werkzeug `adb` startet die Ger\xe4te-Verwaltung : `adb devices` - da"
            "nach `adb shell` und zum Schluss `adb kill-server`."
        ),
        (
            "Zeige die Hilfe-Seite an : `prog --help` ; starte das Konsolen-Programm : `prog "
            "run` ; beende es : `prog stop`"
        ),
        (
            "Die Ende-zu-Ende-Verschl\xfcsselung ist's, die den E-Mail-Versand \xfcber `gpg -"
            "-encrypt datei.txt` so umst\xe4ndlich macht."
        ),
        (
            "Mit --rekursiv werden alle Unter-Verzeichnisse durchsucht, mit -v gibt's mehr Au"
            "sgaben > siehe /etc/prog.conf"
        ),
    ],
    "it": [
        (
            "L'utente dell'applicazione non c'\xe8 : l'ultima volta ch'\xe8 entrato, all'iniz"
            "io dell'anno, usava `app login --user`."
        ),
        (
            "Mostra l'aiuto : `prog --help` ; avvia l'attivit\xe0 : `prog run` ; ferma l'atti"
            "vit\xe0 dell'utente : `prog stop`"
        ),
    ],
    "ca": [
        (
            "L'usuari d'aquest equip no s'ha d'oblidar d'executar `prog init` : l'ordre n'act"
            "ualitza l'estat i l'historial."
        ),
    ],
    "es": [
        (
            "Muestra la ayuda : `prog --help` ; instala el paquete : `npm install -g paquete`"
            " ; det\xe9n el servicio : `prog stop`"
        ),
        (
            "Ejecuta `docker compose up -d` > espera a que arranque el servidor - y abre http"
            "://localhost:8080 en el navegador."
        ),
    ],
    "pt": [
        (
            "Mostra a ajuda do programa : `prog --help` ; instala-o de novo : `pip install pr"
            "og` ; p\xe1ra o servi\xe7o : `prog stop`"
        ),
        (
            "Sente-se e escreva-lhe : a pasta-m\xe3e fica em `~/projetos` - copie-a com `cp -"
            "r` antes de apag\xe1-la."
        ),
    ],
    "nl": [
        (
            "Toon de hulp-pagina : `prog --help` ; zo'n programma start u met `prog run` - 's"
            " avonds stopt u 't met `prog stop`."
        ),
        (
            "De foto's van de auto's staan in `/srv/foto` ; kopieer ze met `cp -r` naar de b"
            "ack-up-schijf van de gebruiker."
        ),
    ],
    "sv": [
        (
            "Visa hj\xe4lp-sidan : `prog --help` ; starta tj\xe4nsten i bakgrunden : `prog ru"
            "n &` ; st\xe4ng av den igen : `prog stop`"
        ),
    ],
    "da": [
        (
            "Vis hj\xe6lpe-siden : `prog --help` ; start tjenesten i baggrunden : `prog run &"
            "` ; luk den ned igen : `prog stop`"
        ),
    ],
    "fi": [
        (
            "N\xe4yt\xe4 ohje-sivu : `prog --help` ; k\xe4ynnist\xe4 palvelu taustalla : `pro"
            "g run &` ; sammuta palvelu lopuksi : `prog stop`"
        ),
    ],
    "pl": [
        (
            "Wy\u015bwietl stron\u0119 pomocy : `prog --help` ; uruchom us\u0142ug\u0119 w tl"
            "e : `prog run &` ; zatrzymaj j\u0105 na ko\u0144cu : `prog stop`"
        ),
    ],
    "cs": [
        (
            "Zobraz str\xe1nku s n\xe1pov\u011bdou : `prog --help` ; spus\u0165 slu\u017ebu n"
            "a pozad\xed : `prog run &` ; nakonec ji zastav : `prog stop`"
        ),
    ],
    "ro": [
        (
            "Afi\u0219eaz\u0103 pagina de ajutor : `prog --help` ; porne\u0219te-l \xeen fund"
            "al : `prog run &` ; opre\u0219te-l dac\u0103 n-ai nevoie de el : `prog stop`"
        ),
    ],
    "tr": [
        (
            "Yard\u0131m sayfas\u0131n\u0131 g\xf6ster : `prog --help` ; Ankara'daki sunucuyu"
            " ba\u015flat : `prog run` ; Ali'nin hizmetini durdur : `prog stop`"
        ),
    ],
    "uk": [
        (
            "\u041f\u043e\u043a\u0430\u0437\u0430\u0442\u0438 \u0441\u0442\u043e\u0440\u0456"
            "\u043d\u043a\u0443 \u0434\u043e\u0432\u0456\u0434\u043a\u0438 : `prog --help` ; "
            "\u0437\u0430\u043f\u0443\u0441\u0442\u0438\u0442\u0438 \u0441\u043b\u0443\u0436"
            "\u0431\u0443 \u043d\u0430 \u043a\u043e\u043c\u043f'\u044e\u0442\u0435\u0440"
            "\u0456 : `prog run` ; \u0437\u0443\u043f\u0438\u043d\u0438\u0442\u0438 \u0457"
            "\u0457 : `prog stop`"
        ),
    ],
    "ru": [
        (
            "\u041f\u043e\u043a\u0430\u0437\u0430\u0442\u044c \u0441\u0442\u0440\u0430\u043d"
            "\u0438\u0446\u0443 \u0441\u043f\u0440\u0430\u0432\u043a\u0438 : `prog --help` ; "
            "\u0437\u0430\u043f\u0443\u0441\u0442\u0438\u0442\u044c \u0447\u0442\u043e-\u043d"
            "\u0438\u0431\u0443\u0434\u044c \u0432 \u0444\u043e\u043d\u0435 : `prog run &` ; "
            "\u043e\u0441\u0442\u0430\u043d\u043e\u0432\u0438\u0442\u044c \u0441\u043b\u0443"
            "\u0436\u0431\u0443 : `prog stop`"
        ),
    ],
    "el": [
        (
            "\u0395\u03bc\u03c6\u03ac\u03bd\u03b9\u03c3\u03b7 \u03c4\u03b7\u03c2 \u03c3\u03b5"
            "\u03bb\u03af\u03b4\u03b1\u03c2 \u03b2\u03bf\u03ae\u03b8\u03b5\u03b9\u03b1\u03c2 "
            ": `prog --help` ; \u03b5\u03ba\u03ba\u03af\u03bd\u03b7\u03c3\u03b7 \u03c4\u03b7"
            "\u03c2 \u03c5\u03c0\u03b7\u03c1\u03b5\u03c3\u03af\u03b1\u03c2 \u03b1\u03c0' "
            "\u03c4\u03bf \u03c0\u03b1\u03c1\u03b1\u03c3\u03ba\u03ae\u03bd\u03b9\u03bf : `pro"
            "g run` ; \u03b4\u03b9\u03b1\u03ba\u03bf\u03c0\u03ae : `prog stop`"
        ),
    ],
    "hu": [
        (
            "Jelen\xedtse meg a s\xfag\xf3-oldalt : `prog --help` ; ind\xedtsa el a szolg\xe1"
            "ltat\xe1st a h\xe1tt\xe9rben : `prog run &` ; v\xe9g\xfcl \xe1ll\xedtsa le : `pr"
            "og stop`"
        ),
    ],
    "id": [
        (
            "Tampilkan halaman bantuan : `prog --help` ; jalankan layanan di latar belakang :"
            " `prog run &` ; lalu hentikan layanan itu : `prog stop`"
        ),
    ],
}
ENGLISH = [
    (
        "Show the help page : `prog --help` ; start the tool : `prog run` ; stop it again"
        " : `prog stop`"
    ),
    (
        "Install it : `pip install tool` ; don't use `sudo` - it's only needed for `/usr/"
        "local` > see `man tool`"
    ),
    (
        "The state-of-the-art Android-tool `adb` restarts the end-user's device : `adb re"
        "boot` - that's all."
    ),
    (
        "You can't `git push --force` here; O'Brien's branch isn't merged - use `git reve"
        "rt HEAD~1` > then push."
    ),
    (
        "Call `f(x)`, `g(x)` and `h(x)`; each returns `None` - if one doesn't, it's a bug"
        " in `core.py`."
    ),
    (
        "Run --recursive with -v to list all sub-directories > see /etc/prog.conf for the"
        " well-known defaults"
    ),
    "List running containers : docker ps ; remove stopped ones : docker rm $(docker ps -aq)",
    "Restart the message broker's node : sudo rabbitmqctl stop_app && sudo rabbitmqctl start_app",
    (
        "`export PATH=$PATH:/srv/bin` adds a folder; `source ~/.bashrc` re-reads the user"
        "'s start-up file."
    ),
]
