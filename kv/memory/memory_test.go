package memory_test
import ("testing";"context";"github.com/tito-db/tito-go/kv";"github.com/tito-db/tito-go/kv/memory";"github.com/stretchr/testify/require";"fmt")
func TestSmoke(t *testing.T){
 ctx:=context.Background()
 s,err:=memory.Open(nil); require.NoError(t,err)
 require.NoError(t,s.Update(ctx,func(tx *kv.Txn)error{ for i:=range 10 { if err:=tx.Set([]byte(fmt.Sprint("k",i)),[]byte("v"));err!=nil{return err}}; return nil}))
 require.NoError(t,s.Update(ctx,func(tx *kv.Txn)error{
  require.NoError(t,tx.Delete([]byte("k3"))); require.NoError(t,tx.Set([]byte("k33"),[]byte("w"))); require.NoError(t,tx.Lock(ctx,[]byte("k4"),[]byte("k44")))
  for _,rev:=range []bool{false,true}{
  n:=""
  for p,err:=range tx.Scan(ctx,kv.Range{Start:[]byte("k2"),End:[]byte("k5")},&kv.ScanOptions{Reverse:rev}){ require.NoError(t,err); n+=string(p.Key)+"="+string(p.Value)+" "}
  t.Log(n)
  }
  return nil}))
 require.NoError(t,s.Close())
 require.ErrorIs(t,s.Close(),kv.ErrClosed)
}
func BenchmarkUpdate(b *testing.B){
 ctx:=context.Background()
 s,_:=memory.Open(nil)
 b.ReportAllocs()
 i:=0
 for b.Loop(){ i++
  k:=fmt.Appendf(nil,"%08d",i%100000)
  if err:=s.Update(ctx,func(tx *kv.Txn)error{ tx.Get(ctx,k); tx.Set(append(k,1),k); tx.Set(append(k,2),k);return tx.Set(append(k,3),k)});err!=nil{b.Fatal(err)}
 }
}
