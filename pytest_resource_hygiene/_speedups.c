/* The parts in C: this file has the audit hook and puts them all into one module.
 *
 * In Python, a hook costs some 2,500 instructions for each event of the interpreter, also for those
 * that are none of ours, and each look at a frame's code raises an event of its own. Here the first
 * is a look at two letters, and the second raises nothing. audit.py does the same in Python where
 * this was not compiled; tests/hygiene/engine/test_audit.py holds the two to one another.
 *
 *   _sites.c      where, and for whom, something is made
 *   _stand_ins.c  what stands for functions, and records openings
 *   _probes.c     what is asked once a test
 *   _objects.c    many objects at once
 *   _system.c     what the kernel tells
 */

#include "_speedups.h"
#include <string.h>

#if PY_VERSION_HEX < 0x030D0000
#define Py_IsFinalizing _Py_IsFinalizing /* the same, before it became public in 3.13 */
#endif

/* Another number whenever a name or a meaning changes; the same as in compiled.py. */
#define INTERFACE 14

#define MAX_EVENTS 64
#define LETTERS 256

typedef struct {
    PyObject *name; /* keeps `text` */
    const char *text;
    PyObject *handler;
    unsigned char letters; /* of `text` */
} Entry;

/* One per process, as the hook itself. Changed and read with the lock of the main interpreter held:
 * events of other interpreters are not ours, and are turned away before the table is read. */
static Entry entries[MAX_EVENTS];
static Py_ssize_t entry_count = 0;
static unsigned char may_begin[LETTERS]; /* by the sum of an event's first two letters */
static PyInterpreterState *interpreter = NULL;
static int is_installed = 0;

static inline unsigned char
letters(const char *event)
{
    /* Events are never empty; that of one letter has its end as its second. */
    return event[0] == '\0' ? 0 : (unsigned char)(3 * event[0] + event[1]);
}

static int
call(PyObject *handler, PyObject *args)
{
    /* As sys.addaudithook has it: no debugger or coverage looks into a hook. */
    PyThreadState *state = PyThreadState_Get();
    PyThreadState_EnterTracing(state);
    Py_INCREF(handler); /* it may take itself out of the table */
    PyObject *result = PyObject_CallOneArg(handler, args);
    Py_DECREF(handler);
    PyThreadState_LeaveTracing(state);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

static int
hook(const char *event, PyObject *args, void *unused)
{
    unsigned char begins = letters(event);
    if (!may_begin[begins])
        return 0;
    if (Py_IsFinalizing() || PyInterpreterState_Get() != interpreter)
        return 0;
    for (Py_ssize_t i = 0; i < entry_count; i++) {
        if (entries[i].letters == begins && strcmp(entries[i].text, event) == 0)
            return call(entries[i].handler, args);
    }
    return 0;
}

PyDoc_STRVAR(set_handlers_doc,
"set_handlers(handlers, /)\n--\n\n"
"Call ``handlers[event](args)`` at each audit event of that name, and no longer those of before.\n\n"
"Raises:\n"
"    ValueError: more events than there is room for.\n");

static PyObject *
set_handlers(PyObject *module, PyObject *handlers)
{
    if (!PyDict_Check(handlers)) {
        PyErr_SetString(PyExc_TypeError, "handlers must be a dict");
        return NULL;
    }
    if (PyDict_GET_SIZE(handlers) > MAX_EVENTS) {
        PyErr_Format(PyExc_ValueError, "at most %d events, not %zd", MAX_EVENTS,
                     PyDict_GET_SIZE(handlers));
        return NULL;
    }
    Entry fresh[MAX_EVENTS], old[MAX_EVENTS];
    Py_ssize_t count = 0, old_count = entry_count, at = 0;
    PyObject *name, *handler;
    while (PyDict_Next(handlers, &at, &name, &handler)) {
        const char *text = PyUnicode_AsUTF8(name);
        if (text == NULL)
            return NULL;
        fresh[count++] = (Entry){name, text, handler, letters(text)};
    }
    /* From here on nothing fails, and nothing runs that could ask for the table. */
    memcpy(old, entries, sizeof(old));
    memset(may_begin, 0, sizeof(may_begin));
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(fresh[i].name);
        Py_INCREF(fresh[i].handler);
        entries[i] = fresh[i];
        may_begin[fresh[i].letters] = 1;
    }
    entry_count = count;
    interpreter = PyInterpreterState_Get();
    for (Py_ssize_t i = 0; i < old_count; i++) {
        Py_DECREF(old[i].name);
        Py_DECREF(old[i].handler);
    }
    if (!is_installed) {
        if (PySys_AddAuditHook(hook, NULL) < 0)
            return NULL;
        is_installed = 1;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"set_handlers", set_handlers, METH_O, set_handlers_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_speedups",
    .m_doc = PyDoc_STR("The audit hook and the walk of the frames, in C."),
    .m_size = -1, /* one state for the process: other interpreters use audit.py's own */
    .m_methods = methods,
};

PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL)
        return NULL;
    int failed = PyModule_AddObjectRef(module, name, type) < 0;
    Py_DECREF(type);
    return failed ? NULL : (PyTypeObject *)type;
}

PyMODINIT_FUNC
PyInit__speedups(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (add_sites(module) < 0 || add_stand_ins(module) < 0 || add_probes(module) < 0
        || add_objects(module) < 0 || add_system(module) < 0
        || PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
