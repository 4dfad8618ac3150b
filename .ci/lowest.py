"""Print the lowest versions that setup.cfg admits, as constraints for pip."""

import re
from configparser import ConfigParser

settings = ConfigParser()
settings.read("setup.cfg")
required = [
    settings["options"]["install_requires"],
    *settings["options.extras_require"].values(),
]
for name, version in sorted(set(re.findall(r"^([\w-]+)\S*?>=([\w.]+)", "\n".join(required), re.M))):
    print(f"{name}=={version}")
