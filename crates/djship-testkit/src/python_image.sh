#!/bin/sh
# What mmdebstrap runs at its end: takes the Python of the root in $1 out of Debian's packages, and puts it below /usr/local in the
# folder $2, where public Python images have theirs. Nothing of Debian's Python stays in the root.
set -eu
root=$1
top=$2
python=$(basename "$(readlink "$root/usr/bin/python3")")
mkdir -p "$top/usr/local/bin" "$top/usr/local/lib" "$top/usr/local/include" "$top/etc"
cp "$root/usr/bin/$python" "$top/usr/local/bin/$python"
ln -s "$python" "$top/usr/local/bin/python3"
ln -s python3 "$top/usr/local/bin/python"
cp -a "$root/usr/lib/$python" "$top/usr/local/lib/$python"
# Some links of Debian's lead out of it.
find "$top/usr/local/lib/$python" -xtype l -delete
find "$top/usr/local" -name __pycache__ -prune -exec rm -rf {} +
cp -a "$root/usr/include/$python" "$top/usr/local/include/$python"
cp "$root/usr/include/x86_64-linux-gnu/$python/pyconfig.h" "$top/usr/local/include/$python/pyconfig.h"
sed -i "s|/usr/include/python|/usr/local/include/python|g" "$top/usr/local/lib/$python"/_sysconfigdata_*.py
mkdir -p "$top/usr/local/lib/$python/dist-packages"
for name in pip setuptools pkg_resources _distutils_hack; do
    cp -a "$root/usr/lib/python3/dist-packages/$name" "$top/usr/local/lib/$python/dist-packages/$name"
done
printf '#!/usr/local/bin/python3\nfrom pip._internal.cli.main import main\nraise SystemExit(main())\n' >"$top/usr/local/bin/pip"
chmod 755 "$top/usr/local/bin/pip"
find "$top" -name __pycache__ -prune -exec rm -rf {} +
# A layer says what of those below it is gone.
: >"$top/etc/.wh.issue"
chroot "$root" apt-get -qq -y purge --auto-remove 'python3*' 'libpython3*' >/dev/null
rm -rf "$root/usr/lib/python3" "$root/usr/lib/$python" "$root/usr/include/$python"
