#!/bin/sh
# Prints the home of a Java that Spark runs on (17 or later), installing one where root may.
set -eu

# The home of a java command, if it is Java 17 or later. `java -version` would tell in
# vendors' own words; these two properties are the same everywhere.
home_of() {
    "$1" -XshowSettings:properties -version 2>&1 | awk -F' = ' '
        $1 ~ /java.home$/ { home = $2 }
        $1 ~ /java.specification.version$/ { version = $2 + 0 }
        END { if (version >= 17) print home }'
}

# On macOS /usr/bin/java is a stub that opens a dialog where no Java is; java_home knows.
on_path() {
    if [ -x /usr/libexec/java_home ]; then
        echo "$(/usr/libexec/java_home -v 17+ 2>/dev/null)/bin/java"
    else
        command -v java
    fi
}

found() {
    # Homebrew's JDKs are linked nowhere; Debian's link need not be the newest.
    for java in "${JAVA_HOME:-/nowhere}/bin/java" "$(on_path || true)" \
        /opt/homebrew/opt/openjdk@17/bin/java /opt/homebrew/opt/openjdk@21/bin/java \
        /usr/local/opt/openjdk@17/bin/java /usr/local/opt/openjdk@21/bin/java \
        /usr/lib/jvm/*-17-*/bin/java /usr/lib/jvm/*-21-*/bin/java; do
        if [ -x "$java" ]; then
            home=$(home_of "$java")
            if [ -n "$home" ]; then
                echo "$home"
                return
            fi
        fi
    done
}

home=$(found)
if [ -z "$home" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Java …" >&2
    {
        export DEBIAN_FRONTEND=noninteractive
        # Debian 13 has no 17 any more, Debian 12 no 21. Where neither comes, see below.
        apt-get update -qq &&
            { apt-get install -y -qq openjdk-17-jre-headless ||
                apt-get install -y -qq openjdk-21-jre-headless; } || true
    } >&2
    home=$(found)
fi
if [ -z "$home" ]; then
    if command -v brew >/dev/null; then
        command="brew install openjdk@17"
    elif command -v apt-get >/dev/null; then
        command="sudo apt-get install -y openjdk-17-jre-headless   (or openjdk-21-jre-headless)"
    elif command -v dnf >/dev/null; then
        command="sudo dnf install -y java-17-openjdk-headless   (or java-21-openjdk-headless)"
    elif command -v zypper >/dev/null; then
        command="sudo zypper install -y java-17-openjdk-headless"
    elif command -v pacman >/dev/null; then
        command="sudo pacman -S jre17-openjdk-headless"
    elif command -v apk >/dev/null; then
        command="sudo apk add openjdk17-jre-headless"
    elif [ "$(uname)" = Darwin ]; then
        command="brew install openjdk@17   (Homebrew first, or any JDK 17 or 21 for macOS)"
    else
        command="(your package manager's install command) openjdk-17-jre"
    fi
    echo "Spark needs Java 17 or 21, and none was found. Type: $command" >&2
    exit 1
fi
echo "$home"
