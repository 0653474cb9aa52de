"""Serve the class page with Voilà, with limits: idle kernels end, their number and memory are bounded, foreign host names are refused.

    python scripts/serve_app.py app/explore.ipynb --port=8866 --Voila.ip=0.0.0.0 --ClassPage.hosts=192.168.0.7 --ClassPage.hosts=class.example --Kernels.most_pages=20

Every visit starts a kernel of about 500 MB. All options of Voilà work, too.
"""
import os
import re
import sys

import psutil
import tornado.web
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from make_app import MEMORY
from traitlets import Integer, List, Unicode, default
from traitlets.config import Config
from voila.app import Voila

LOCAL = ["localhost", "127.0.0.1", "[::1]"]


class Refused(tornado.web.RequestHandler):
    "Answers requests for a host that is not in the list: a foreign page whose name was pointed at this machine."
    def prepare(self): raise tornado.web.HTTPError(403, "this page is not served under the name %r", self.request.host_name)


class Kernels(AsyncMappingKernelManager):
    "At most so many kernels; those that nobody looks at end, also in the middle of a training."
    most_pages = Integer(config=True, help="kernels at a time; as many as fit into the machine's memory by default")
    left_timeout = Integer(600, config=True, help="seconds until a kernel without an open page ends; a page needs one while it loads")

    @default("most_pages")
    def _share_of_memory(self): return max(1, int(.8*psutil.virtual_memory().total/MEMORY))

    def __init__(self, **options):
        super().__init__(**options)
        self.starting, self.alone = 0, {}                       # kernels to come; by id: seconds without an open page

    async def start_kernel(self, **options):
        "Start a kernel, or answer with 503."
        if len(self) + self.starting >= self.most_pages:
            raise tornado.web.HTTPError(503, f"all {self.most_pages} places are taken", reason=f"all {self.most_pages} places are taken; try again in some minutes")
        self.starting += 1
        try: return await super().start_kernel(**options)
        finally: self.starting -= 1

    async def cull_kernel_if_idle(self, kernel_id):
        "A training keeps its kernel busy; without an open page it ends nevertheless."
        self.alone[kernel_id] = 0 if self._kernel_connections.get(kernel_id) else self.alone.get(kernel_id, 0) + self.cull_interval
        if self.alone[kernel_id] > self.left_timeout: await self.shutdown_kernel(kernel_id)
        else: await super().cull_kernel_if_idle(kernel_id)
        self.alone = {key: self.alone.get(key, 0) for key in self.list_kernel_ids()}


class ClassPage(Voila):
    "Voilà for one notebook and the hosts in a list."
    name = "voila"
    hosts = List(Unicode(), config=True, help="names and addresses under which the page is visited beside localhost, without the port")

    def init_handlers(self):
        listed = "|".join(re.escape(host.lower()) for host in LOCAL + self.hosts)
        self.app.add_handlers(f"(?!({listed})$).*$", [(".*", Refused)])          # before all others
        return super().init_handlers()


ClassPage.classes = [*Voila.classes, Kernels]
LIMITS = Config(MappingKernelManager=dict(cull_idle_timeout=1800, cull_interval=60, cull_connected=True),          # seconds
                VoilaConfiguration=dict(multi_kernel_manager_class=Kernels, allow_template_override="NO", file_allowlist=[]))

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")               # of each page: there are many
    ClassPage.launch_instance(sys.argv[1:], config=LIMITS)
